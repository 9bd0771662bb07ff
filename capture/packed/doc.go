// Package packed keeps bytes compressed in memory. What an honest tape has takes a
// fraction of its size then, and what repeats takes nearly nothing, however often it is
// on the tape.
//
//	var p packed.Packer
//	kept := p.Pack(record.Payload)
//	...
//	payload := p.Append(nil, kept)
//
// The package is pure: equal bytes give equal results, and it starts no goroutines.
package packed
