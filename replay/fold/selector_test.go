package fold

import (
	"strings"
	"testing"

	"github.com/topotape/topotape/replay/replaytest"
)

func TestSelectors(t *testing.T) {
	for sel, want := range map[string]string{
		"*":                              "0 1 2",
		"10.0.0.1":                       "0",
		"10.0.0.1:40000":                 "0",
		"10.0.0.1:8080":                  "",
		"10.0.0.0/24":                    "0",
		"10.0.0.7/24":                    "0",
		"10.0.0.0/24:40000":              "0",
		"10.0.0.80":                      "0", // a translated address
		"192.0.2.1:1024":                 "0",
		"192.0.2.1:80":                   "",
		"::ffff:10.0.0.1":                "0",
		":443":                           "1 2",
		"*:443":                          "1 2",
		"[2001:db8::2]:443":              "1",
		"2001:db8::2":                    "1",
		"[2001:db8::2]":                  "1",
		"2001:db8::/32":                  "1",
		"[2001:db8::/32]:443":            "1",
		"10.0.0.1->172.17.0.2:8080":      "0",
		"10.0.0.1->10.0.0.80:80":         "0",
		"172.17.0.2->10.0.0.1":           "",
		"->:443":                         "1 2",
		":443->":                         "",
		"*->10.0.0.0/8":                  "0",
		"curl":                           "0",
		"curl->nginx":                    "0",
		"nginx->curl":                    "",
		"nginx:8080":                     "0",
		"nginx:80":                       "0", // the translated port of that end
		"nginx:40000":                    "",
		"curl nginx :80":                 "0",
		"curl :443":                      "",
		"ngin*":                          "0",
		"*g*x":                           "0",
		"pid:4242":                       "0",
		"pid:4242->pid:7":                "0",
		"pid:424":                        "",
		"shop.internal":                  "0",
		"SHOP.Internal.":                 "0",
		"web-1.internal":                 "0",
		"db.internal:443":                "1",
		"*.internal":                     "0 1",
		"10.0.0.1->*.internal nginx :80": "0",
		"Nginx":                          "", // processes match by case
	} {
		s, err := ParseSelector(sel)
		if err != nil {
			t.Errorf("%q: %v", sel, err)
			continue
		}
		if s.String() != sel {
			t.Errorf("%q is written %q", sel, s)
		}
		all := replaytest.Selected()
		got := Filter(all, []*Selector{s})
		var found []string
		for i := range all.Connections {
			for _, c := range got.Connections {
				if c.From.Addr == all.Connections[i].From.Addr {
					found = append(found, string(rune('0'+i)))
				}
			}
		}
		if g := strings.Join(found, " "); g != want {
			t.Errorf("%q: connections %s, want %s", sel, g, want)
		}
	}
	for _, bad := range []string{"", "  ", "10.0.0", "10.0.0.256", "10.0.0.0/33", ":", ":x", ":65536", "10.0.0.1:65536", "pid:", "pid:x", "[2001:db8::1", "[x]:1",
		"[2001:db8::1]443", "2001:db8:::1", "1.2.3.4/", "a->10.0.0.300"} {
		if _, err := ParseSelector(bad); err == nil {
			t.Errorf("%q is not refused", bad)
		}
	}
}

func TestFilterKeepsEndpointsAndNames(t *testing.T) {
	parse := func(s string) *Selector {
		sel, err := ParseSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return sel
	}
	r := replaytest.Selected()
	if Filter(r, nil) != r {
		t.Error("no selector is not the report itself")
	}
	got := Filter(r, []*Selector{parse("curl"), parse("127.0.0.1")})
	var ids []string
	for _, e := range got.Endpoints {
		ids = append(ids, e.ID())
	}
	if s := strings.Join(ids, " "); s != ";10.0.0.1;40000 ;172.17.0.2;8080 host1-5;127.0.0.1;40000 host1-5;127.0.0.1;443" {
		t.Error(s)
	}
	if len(got.Connections) != 2 || len(got.Names) != 2 {
		t.Errorf("%+v", got)
	}
	if len(r.Connections) != 3 || len(r.Endpoints) != 7 {
		t.Error("the report was changed")
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"10.0.0.1->10.0.0.2:80", ":443 nginx", "[2001:db8::/32]:1", "pid:1", "*"} {
		f.Add(s)
	}
	r := replaytest.Selected()
	f.Fuzz(func(t *testing.T, s string) {
		if sel, err := ParseSelector(s); err == nil {
			Filter(r, []*Selector{sel})
		}
	})
}
