package tape

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/crc32"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/topotape/topotape/capture"
)

func docText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A field as the document writes it: name and type.
type field struct{ name, typ string }

// documented reads the tables of objects.
func documented(t *testing.T) map[string][]field {
	object := regexp.MustCompile(`^\t([A-Za-z]+)$`)
	row := regexp.MustCompile(`^\t    (\w+) +(bin \d+|8 u64|\[\w+\]|\w+)( |$)`)
	out := map[string][]field{}
	name := ""
	for line := range strings.Lines(docText(t)) {
		line = strings.TrimSuffix(line, "\n")
		if m := object.FindStringSubmatch(line); m != nil {
			name = m[1]
			if _, twice := out[name]; twice {
				t.Errorf("%s is drawn twice", name)
			}
			out[name] = nil
		} else if m := row.FindStringSubmatch(line); m != nil && name != "" {
			out[name] = append(out[name], field{m[1], m[2]})
		} else {
			name = ""
		}
	}
	return out
}

// coded reads the methods named fields: what the code writes and reads, in its
// order.
func coded(t *testing.T) map[string][]field {
	words := map[string]string{"Bool": "bool", "Uint8": "u8", "Uint32": "u32", "Uint64": "u64", "Int64": "i64", "LaterInt64": "i64", "LaterUint64": "u64", "String": "str", "Text": "str", "Name": "str", "Bytes": "bin"}
	arrays := map[string]reflect.Type{"Header": reflect.TypeFor[capture.Header](), "Parent": reflect.TypeFor[capture.Parent]()}
	out := map[string][]field{}
	for _, file := range []string{"../fields.go", "index.go", "runs.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			method, ok := d.(*ast.FuncDecl)
			if !ok || !strings.EqualFold(method.Name.Name, "fields") {
				continue
			}
			of := method.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
			ast.Inspect(method.Body, func(n ast.Node) bool {
				if loop, ok := n.(*ast.RangeStmt); ok {
					out[of] = append(out[of], field{loop.X.(*ast.SelectorExpr).Sel.Name, "8 u64"})
					return false
				}
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				var typ string
				var arg ast.Expr
				fun := call.Fun.(*ast.SelectorExpr)
				switch arg, typ = call.Args[0], words[fun.Sel.Name]; fun.Sel.Name { // c.Uint64(&p.Netns)
				case "Fixed": // c.Fixed(h.TapeID[:])
					path := arg.(*ast.SliceExpr).X.(*ast.SelectorExpr)
					typ = fmt.Sprintf("bin %d", lengthOf(t, arrays[of], path))
					arg = path
				case "List": // wire.List(c, &p.Totals, (*Total).fields)
					arg = call.Args[1]
					element := call.Args[2].(*ast.SelectorExpr).X.(*ast.ParenExpr).X.(*ast.StarExpr).X
					typ = "[" + element.(*ast.Ident).Name + "]"
				case "Values": // wire.Values(c, &p.Names, (*wire.Coder).String)
					arg = call.Args[1]
					typ = "[" + words[call.Args[2].(*ast.SelectorExpr).Sel.Name] + "]"
				}
				if address, ok := arg.(*ast.UnaryExpr); ok {
					arg = address.X
				}
				out[of] = append(out[of], field{arg.(*ast.SelectorExpr).Sel.Name, typ})
				return false
			})
		}
	}
	return out
}

// lengthOf is the length of the array that h.Derived.Parent or h.TapeID is.
func lengthOf(t *testing.T, of reflect.Type, path *ast.SelectorExpr) int {
	if outer, ok := path.X.(*ast.SelectorExpr); ok {
		f, _ := of.FieldByName(outer.Sel.Name)
		of = f.Type
	}
	f, ok := of.FieldByName(path.Sel.Name)
	if !ok {
		t.Fatalf("%s has no field %s", of, path.Sel.Name)
	}
	return f.Type.Len()
}

// The document names every field that the code writes, in its order and with
// its type, and no other.
func TestDocumentHasTheFields(t *testing.T) {
	doc, code := documented(t), coded(t)
	if len(code) < 20 {
		t.Fatalf("only %d types were found in the code", len(code))
	}
	for name, want := range code {
		if !slices.Equal(doc[name], want) {
			t.Errorf("%s:\nthe document has %v\nthe code        %v", name, doc[name], want)
		}
		delete(doc, name)
	}
	for name := range doc {
		t.Errorf("the document has %s, the code has not", name)
	}
}

// The document lists the kinds with their numbers, names and payloads.
func TestDocumentHasTheKinds(t *testing.T) {
	next := capture.Kind(1)
	for _, m := range regexp.MustCompile(`(?m)^\t[ \d]\d  (\w+) +(raw:|\w+)`).FindAllStringSubmatch(docText(t), -1) {
		if n, _ := strconv.Atoi(strings.TrimSpace(m[0][:3])); n != int(next) {
			continue // a row of another table
		}
		payload := "raw:"
		if p := next.New(); p != nil {
			payload = reflect.TypeOf(p).Elem().Name()
		}
		if m[1] != next.String() || m[2] != payload {
			t.Errorf("kind %d is %s with %s, not %s with %s", next, next, payload, m[1], m[2])
		}
		next++
	}
	if next.Known() || next == 1 {
		t.Errorf("the document lacks kind %d (%s)", next, next)
	}
}

// The drawing of a frame begins its rows where the fields are, with their
// first byte, and the sizes in the text are the code's.
func TestDocumentDrawsTheFrame(t *testing.T) {
	text := docText(t)
	f := frameOf(frameHead, codingPlain, 0, 1, 1, []byte{0x90})
	rows := regexp.MustCompile(`(?m)^\t([ \d]\d)  ([0-9a-f]{2}) `).FindAllStringSubmatch(text[:strings.Index(text, "# Head")], -1)
	if len(rows) != 10 {
		t.Errorf("%d rows", len(rows))
	}
	for _, m := range rows {
		at, _ := strconv.Atoi(strings.TrimSpace(m[1]))
		if first := fmt.Sprintf("%02x", f[at]); first != m[2] {
			t.Errorf("byte %d is %s, the document says %s", at, first, m[2])
		}
	}
	for _, say := range []string{
		fmt.Sprintf("always %d bytes", frameHeaderLen), fmt.Sprintf("at most %d MiB", maxPayload>>20), fmt.Sprintf("fixed size, %d bytes", footPayloadLen),
		fmt.Sprintf("last %d\nbytes", frameHeaderLen+footPayloadLen), fmt.Sprintf("%d,%03d at most", maxEntries/1000, maxEntries%1000),
		fmt.Sprintf("about %d KiB", chunkSize>>10), fmt.Sprintf("more than %d counts", maxRunCounts), fmt.Sprintf("keeps it to %d MiB", maxRecord>>20), fmt.Sprintf("version %d.%d", Format, Minor), fmt.Sprintf("kinds from\n%d on", frameOptional),
		fmt.Sprintf("%08x", crc32.Checksum([]byte("123456789"), castagnoli)), fmt.Sprintf("bytes 0 to %d and %d to %d", offHeaderCRC-1, offHeaderCRC+4, frameHeaderLen-1),
	} {
		if !strings.Contains(text, say) {
			t.Errorf("the document does not say %q", say)
		}
	}
	if !slices.Contains(slices.Collect(strings.Lines(text)), fmt.Sprintf("\t%d.%d   ", Format, Minor)+"Witness: Attempts. The kinds socket_format to socket_close\n") {
		t.Errorf("the document does not say what version %d.%d added", Format, Minor)
	}
}
