package reporter

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
)

// notCarried lists the fields of a machine, as PACKAGE.TYPE.FIELD, that are not carried: they are
// derived or set again before they are used, or follow from the header. All others are carried.
var notCarried = []string{
	"current.Machine.header", "current.Machine.linked", "current.flows.open", "current.contents.tidied", "scope2016.proc.packer", "current.Machine.message", "scope2016.Machine.header", "scope2016.Machine.message", "scope2016.Machine.packet", "scope2016.Machine.dns",
	"dnsmsg.Assembler.count", "dnsmsg.Assembler.tries", "dnsmsg.Assembler.packet", "dnsmsg.Assembler.message", "dnsmsg.Assembler.answers",
}

// neverSet lists the fields that are always zero in a state.
var neverSet = []string{"current.side.row", "current.side.event", "report.Connection.Connect", "report.Connection.NAT", "report.Connection.Zone", "report.Connection.MayHaveClosed", "report.ScopeInput.Start", "scope2016.snooped.dirty", "scope2016.row.unreadable"}

// Difference returns the first difference between the states of two reporters, "" if there is none.
func Difference(a, b *Reporter) string {
	d := differ{visited: map[[2]uintptr]bool{}}
	d.compare("state", reflect.ValueOf(a.machine), reflect.ValueOf(b.machine))
	return d.found
}

// A differ compares values as reflect.DeepEqual does, but empty and nil lists are equal, and fields
// that are not carried do not count. It keeps the first difference.
type differ struct {
	visited map[[2]uintptr]bool
	found   string
}

func (d *differ) compare(at string, a, b reflect.Value) {
	switch {
	case d.found != "":
		return
	case a.Kind() != b.Kind() || a.IsValid() && a.Type() != b.Type():
		d.found = fmt.Sprintf("%s: %v, carried %v", at, a, b)
		return
	}
	switch a.Kind() {
	case reflect.Invalid, reflect.Func:
	case reflect.Pointer, reflect.Interface:
		d.pointers(at, a, b)
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			d.found = fmt.Sprintf("%s: %d elements, carried %d", at, a.Len(), b.Len())
		}
		for i := 0; i < a.Len() && d.found == ""; i++ {
			d.compare(fmt.Sprintf("%s[%d]", at, i), a.Index(i), b.Index(i))
		}
	case reflect.Map:
		if a.Len() != b.Len() {
			d.found = fmt.Sprintf("%s: %d elements, carried %d", at, a.Len(), b.Len())
		}
		for it := a.MapRange(); it.Next() && d.found == ""; {
			d.compare(fmt.Sprintf("%s[%v]", at, it.Key()), it.Value(), b.MapIndex(it.Key()))
		}
	case reflect.Struct:
		d.structs(at, a, b)
	default:
		if !a.Equal(b) {
			d.found = fmt.Sprintf("%s: %v, carried %v", at, a, b)
		}
	}
}

func (d *differ) pointers(at string, a, b reflect.Value) {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			d.found = fmt.Sprintf("%s: %v, carried %v", at, a, b)
		}
		return
	}
	if a.Kind() == reflect.Pointer {
		pair := [2]uintptr{a.Pointer(), b.Pointer()}
		if d.visited[pair] {
			return
		}
		d.visited[pair] = true
	}
	d.compare(at, a.Elem(), b.Elem())
}

func (d *differ) structs(at string, a, b reflect.Value) {
	if a.Type().PkgPath() == "net/netip" {
		if !a.Equal(b) {
			d.found = fmt.Sprintf("%s: %v, carried %v", at, a, b)
		}
		return
	}
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if !slices.Contains(notCarried, fieldName(a.Type(), name)) {
			d.compare(at+"."+name, a.Field(i), b.Field(i))
		}
	}
}

// fieldName returns PACKAGE.TYPE.FIELD, without the type's arguments.
func fieldName(t reflect.Type, field string) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return path.Base(t.PkgPath()) + "." + name + "." + field
}

// Seen adds all carried fields of the state to seen, with true if one had a value other than zero.
func Seen(r *Reporter, seen map[string]bool) {
	see(reflect.ValueOf(r.machine), seen, map[uintptr]bool{})
}

// see does the same for a value.
func see(v reflect.Value, seen map[string]bool, visited map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && visited[v.Pointer()] {
			return
		}
		if v.Kind() == reflect.Pointer {
			visited[v.Pointer()] = true
		}
		see(v.Elem(), seen, visited)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			see(v.Index(i), seen, visited)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			see(it.Key(), seen, visited)
			see(it.Value(), seen, visited)
		}
	case reflect.Struct:
		path := v.Type().PkgPath()
		if path == "container/list" {
			for i := range v.NumField() {
				see(v.Field(i), seen, visited)
			}
			return
		}
		if !strings.Contains(path, "reporter") { // a payload is carried as a whole
			return
		}
		for i := range v.NumField() {
			name := fieldName(v.Type(), v.Type().Field(i).Name)
			if slices.Contains(notCarried, name) || slices.Contains(neverSet, name) {
				continue
			}
			seen[name] = seen[name] || !v.Field(i).IsZero()
			see(v.Field(i), seen, visited)
		}
	}
}
