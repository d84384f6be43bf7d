package rootfs

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// program makes an ELF file that needs an interpreter and libraries.
func program(interpreter, folder string, libraries ...string) []byte {
	const addr = 0x400000
	strings := []byte{0}
	place := func(s string) uint64 {
		at := len(strings)
		strings = append(append(strings, s...), 0)
		return uint64(at)
	}
	interp := place(interpreter)
	var dynamic []uint64
	for _, l := range libraries {
		dynamic = append(dynamic, tagNeeded, place(l))
	}
	dynamic = append(dynamic, tagRunpath, place(folder))
	const tables = headerSize + 3*programSize
	dynamic = append(dynamic, tagStrings, addr+tables, 0, 0)
	head := make([]byte, tables)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint64(head[32:], headerSize)
	binary.LittleEndian.PutUint16(head[54:], programSize)
	binary.LittleEndian.PutUint16(head[56:], 3)
	size := uint64(tables+len(strings)) + uint64(8*len(dynamic))
	for i, p := range []programHeader{
		{programLoad, 0, addr, size},
		{programInterp, tables + interp, addr, uint64(len(interpreter) + 1)},
		{programDynamic, uint64(tables + len(strings)), addr, uint64(8 * len(dynamic))},
	} {
		h := head[headerSize+i*programSize:]
		binary.LittleEndian.PutUint32(h, p.kind)
		binary.LittleEndian.PutUint64(h[8:], p.offset)
		binary.LittleEndian.PutUint64(h[16:], p.addr)
		binary.LittleEndian.PutUint64(h[32:], p.size)
	}
	var out bytes.Buffer
	out.Write(head)
	out.Write(strings)
	if err := binary.Write(&out, binary.LittleEndian, dynamic); err != nil {
		panic(err) // a buffer takes all
	}
	return out.Bytes()
}

func TestNeeds(t *testing.T) {
	n := readNeeds(bytes.NewReader(program("/lib64/ld.so", "$ORIGIN/../lib", "libc.so.6", "libm.so.6")))
	if n == nil || n.interpreter != "/lib64/ld.so" || !slices.Equal(n.libraries, []string{"libc.so.6", "libm.so.6"}) || !slices.Equal(n.folders, []string{"$ORIGIN/../lib"}) {
		t.Errorf("needs %+v", n)
	}
	if n := readNeeds(bytes.NewReader(make([]byte, 100))); n != nil {
		t.Errorf("no ELF file: needs %+v", n)
	}
}

func FuzzNeeds(f *testing.F) {
	f.Add(program("/lib64/ld.so", "/opt/lib", "libc.so.6"))
	f.Add(program("", ""))
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := readNeeds(bytes.NewReader(data))
		if n != nil && len(n.libraries) > maxNeeded {
			t.Errorf("%d libraries", len(n.libraries))
		}
	})
}

func FuzzPackages(f *testing.F) {
	f.Add("/var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nVersion: 2")
	f.Add("/lib/apk/db/installed", "P:a\nV:1\n\nP:b\nV:2\n")
	f.Add("/x.dist-info/METADATA", "Name: a\r\nVersion: 1\r\n\r\nName: b\n\n")
	f.Fuzz(func(t *testing.T, name, content string) {
		whole, bytewise := newDatabase(name), newDatabase(name)
		if whole == nil {
			return
		}
		if _, err := whole.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		for _, b := range []byte(content) {
			if _, err := bytewise.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		a, b := whole.close(), bytewise.close()
		if len(a) != len(b) {
			t.Errorf("in one piece %v, byte by byte %v", a, b)
		}
	})
}
