package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// all is FILE_ALL_ACCESS.
const all = windows.STANDARD_RIGHTS_REQUIRED | windows.SYNCHRONIZE | 0x1ff

// allow lets a group write to a path, and the user do everything.
func allow(t *testing.T, path string, group windows.WELL_KNOWN_SID_TYPE) {
	t.Helper()
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	other, err := windows.CreateWellKnownSid(group)
	if err != nil {
		t.Fatal(err)
	}
	var entries []windows.EXPLICIT_ACCESS
	for sid, mask := range map[*windows.SID]windows.ACCESS_MASK{user.User.Sid: all, other: windows.FILE_GENERIC_WRITE} {
		entries = append(entries, windows.EXPLICIT_ACCESS{
			AccessPermissions: mask, AccessMode: windows.GRANT_ACCESS,
			Trustee: windows.TRUSTEE{TrusteeForm: windows.TRUSTEE_IS_SID, TrusteeValue: windows.TrusteeValueFromSID(sid)},
		})
	}
	list, err := windows.ACLFromEntries(entries, nil)
	if err == nil {
		err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A state folder is ours unless its access control list, or that of what is opened in
// it, lets others write.
func TestAttackStateFolderOfOthers(t *testing.T) {
	for name, plant := range map[string]func(root string){
		"":           func(string) {},
		".":          func(root string) { allow(t, root, windows.WinWorldSid) },
		"layers":     func(root string) { allow(t, filepath.Join(root, "layers"), windows.WinWorldSid) },
		"layers/a":   func(root string) { allow(t, filepath.Join(root, "layers", "a"), windows.WinWorldSid) },
		"system's":   func(root string) { allow(t, root, windows.WinLocalSystemSid) },
		"not walked": func(root string) { allow(t, filepath.Join(root, "other", "a"), windows.WinWorldSid) },
	} {
		root := filepath.Join(t.TempDir(), "state")
		for _, folder := range []string{"layers", "other"} {
			err := os.MkdirAll(filepath.Join(root, folder), 0o700)
			if err := errors.Join(err, os.WriteFile(filepath.Join(root, folder, "a"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		allow(t, root, windows.WinLocalSystemSid)
		plant(root)
		err := engine.CheckState(root)
		var foreign *engine.ForeignError
		if isOurs := name == "" || strings.Contains(name, " ") || name == "system's"; isOurs != (err == nil) || err != nil && !errors.As(err, &foreign) {
			t.Errorf("others may write to %q: %v", name, err)
		}
	}
}
