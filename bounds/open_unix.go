//go:build unix

package bounds

import "syscall"

// noWait lets an open file that turns out to be a pipe not be waited for.
const noWait = syscall.O_NONBLOCK

// NoFollow is a flag for [os.OpenFile], with which a path that is a link is an error.
const NoFollow = syscall.O_NOFOLLOW
