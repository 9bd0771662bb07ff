/*
Package reportertest feeds records to a machine in tests, and checks its reports.

	h := reportertest.NewHost(t, machine)
	h.Conntrack(ctmsg.Update, 7, "ESTABLISHED", "10.0.0.1:40000>10.0.0.2:80")
	h.Walk(reportertest.Listen(1, "0.0.0.0:80"))
	h.Pass(3)
	h.Want("10.0.0.1:40000 -> 10.0.0.2:80 ESTABLISHED listener")

Files in reading order:

	tuples.go    addresses and tuples in short notation
	host.go      Host: conntrack messages, dumps, sockets, walks of /proc, ticks
	report.go    reports in short notation, and what is true of every report
	records.go   random records and long sequences of messages
*/
package reportertest
