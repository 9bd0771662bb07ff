package render

import (
	"fmt"

	"github.com/topotape/topotape/capture"
	"github.com/topotape/topotape/reporter/sockmsg"
)

// appendFormat says whether the text has the layout of socket events.
func appendFormat(b []byte, v *capture.SocketFormat) []byte {
	b = fmt.Appendf(b, "%d bytes of text", len(v.Text))
	if _, err := sockmsg.ParseFormat(v.Text); err != nil {
		b = fmt.Appendf(b, ": %v", err)
	}
	return b
}

func appendSocketTable(b []byte, v *capture.SocketTable) []byte {
	b = fmt.Appendf(b, "%s of netns %d: %d bytes", v.Table, v.Netns, len(v.Messages))
	if v.Interrupted {
		b = append(b, ", changed during the reading"...)
	}
	return append(b, partText(v.Part, v.More)...)
}
