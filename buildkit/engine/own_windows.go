package engine

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows has no modes: a file belongs to whom its security descriptor says, and may be
// written to by those whom its access control list allows to. What Windows lets change
// everything anyway is no stranger: the system, administrators, and the user.

// self names whose process this is.
func self() string {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "this user"
	}
	return user.User.Sid.String()
}

// followWay is that of other systems, where anybody may make links. Here that takes a
// right that users do not have; what a path leads to is looked at in any case.
func followWay(name string) (string, error) { return filepath.Clean(name), nil }

// foreign says why a file or folder is not ours, or "".
func foreign(path string, _ fs.FileInfo) string {
	descriptor, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "its owner cannot be read: " + err.Error()
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return "its owner cannot be read: " + err.Error()
	}
	if !isTrusted(owner) {
		return "it belongs to " + owner.String()
	}
	list, _, err := descriptor.DACL()
	if err != nil || list == nil { // without one, everybody may do everything
		return "it has no access control list"
	}
	return writers(list)
}

// writing are the rights with which one can change a file, or what is in a folder, or
// who may.
const writing = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER |
	windows.GENERIC_WRITE | windows.GENERIC_ALL | deleteChild

// deleteChild is FILE_DELETE_CHILD: to remove what is in a folder.
const deleteChild = 0x40

// writers says whom an access control list lets write besides us, or "". What a list
// denies is not subtracted: who is allowed and denied counts as allowed.
func writers(list *windows.ACL) string {
	for i := range uint32(list.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &entry); err != nil {
			return "its access control list cannot be read: " + err.Error()
		}
		switch {
		case entry.Header.AceType == windows.ACCESS_DENIED_ACE_TYPE, entry.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0:
			continue
		case entry.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE:
			return fmt.Sprintf("its access control list has an entry of type %d, which is not known", entry.Header.AceType)
		}
		if sid := (*windows.SID)(unsafe.Pointer(&entry.SidStart)); entry.Mask&writing != 0 && !isTrusted(sid) {
			return sid.String() + " may write to it"
		}
	}
	return ""
}

// isTrusted reports whether somebody is us, or may change all files of this machine.
func isTrusted(sid *windows.SID) bool {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	return err == nil && sid.Equals(user.User.Sid) ||
		sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) || sid.IsWellKnown(windows.WinCreatorOwnerRightsSid)
}
