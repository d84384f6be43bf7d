// Package rootless runs an engine for a user who is not root: in a process of its own,
// in a user namespace in which that user is root.
//
// The process is this program again, under another name (see [IsChild]), and is all
// that has privileges in the namespace: whoever opened it keeps keys, passwords and
// files, and speaks with it as with a daemon, over connections that are handed to it.
// It has namespaces for users, mounts and processes. When it ends, however it ends,
// all containers end and no mount is left; and it ends when its opener does.
//
// A range of ids is mapped, as files of images have owners and groups of their own, by
// newuidmap and newgidmap, which are setuid so that they may: there is no other way to
// the ids of /etc/subuid. With the user's own id alone hardly an image could be
// unpacked, and what could would tell other users apart no more; so there is an error
// instead. A process that may map ids itself, such as root's in a container without
// further privileges, needs neither.
package rootless
