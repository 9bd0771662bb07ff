// Package outfile opens the files that topotape writes: tapes, reports, fixtures.
//
// [Open] makes a new file under a temporary name, the name of the output and a
// suffix. [File.Complete] gives it its name. Until then nothing is changed under
// that name, and a program that is killed leaves only the temporary file.
//
// What exists under the name decides what happens:
//
//	nothing                    a new file
//	file                       it is replaced, if Replace allows that
//	link to a file or nothing  like a file: the link is replaced, never followed
//	link to anything else      an error
//	character device           written in place
//	pipe, socket               written in place, once somebody reads it
//	block device               written in place, with Replace Anything only
//	directory                  an error
//
// The names of open file descriptors (/dev/stdout, /dev/fd/3, /proc/self/fd/3) are
// links too, but those are written to: the shell makes them, and they belong to this
// process.
//
// # Two programs
//
// The temporary file is locked while it is open. With Replace Anything a temporary
// file that was left over is replaced, unless another process has it locked. So no two
// processes write one file.
//
// Other programs know nothing of the lock. [File.Check] finds out that the file was
// removed, renamed, replaced or truncated.
//
// # Owner
//
// A file that root makes under sudo is given to the user who called sudo. That user
// comes from SUDO_UID and SUDO_GID, which must both be numbers. A user need not be in
// the password file: directory services have users that a static program cannot look up.
package outfile
