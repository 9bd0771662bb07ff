// Package quote makes any text safe to show to people.
//
// Texts of a tape, names of files and messages of other programs can contain what a
// terminal obeys (ESC and other control characters), line breaks that look like the
// end of our own line, characters that change the order of others (U+202E) or that do
// not show (U+200B), and bytes that are no UTF-8. [Text] replaces each of these by its
// Go escape, such as \x1b, and leaves all other text as it is. [Line] writes a line of
// output in that way.
//
// Whatever is written for people goes through this package at one place: where a
// writer emits a line or a cell of a table, or where the label of a picture is made.
// Functions that only return a text return it as it is. Formats with a grammar of
// their own (Graphviz, Mermaid, XML, Markdown, workflow commands) use Text and then
// escape for that grammar. JSON keeps the text: its own escapes are enough.
//
// # What surprises
//
//   - A backslash stays a backslash. So text that is quoted twice is as if it was
//     quoted once, and so is text from %q. JSON output shows whether \x1b is one
//     character of the text or four.
//   - The package decides by strconv.IsPrint, so it also replaces spaces other than
//     U+0020, and characters of private use.
package quote
