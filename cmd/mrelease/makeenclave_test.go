package main

import (
	"bytes"
	"crypto/rsa"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Where the small enclave has what.
const (
	enclaveSize = 1 << 20
	enclaveCode = 2 * sgx.PageSize // in the file and in memory
	enclaveNote = 3 * sgx.PageSize
	noteHeader  = 25
	blockSize   = 1888
)

// newEnclave makes the smallest enclave of Intel's SDK: a page of code, and the
// metadata, signed.
func newEnclave(t testing.TB, body sgx.Body) []byte {
	t.Helper()
	const names = "\x00.note.sgxmeta\x00.shstrtab\x00"
	le := binary.LittleEndian
	noteSize := uint64(noteHeader + blockSize)
	namesAt := enclaveNote + noteSize
	table := (namesAt + uint64(len(names)) + 7) &^ 7
	file := make([]byte, table+3*64)
	copy(file, "\x7fELF\x02\x01\x01")
	put := func(at uint64, values ...uint64) {
		for i, v := range values {
			le.PutUint64(file[at+8*uint64(i):], v)
		}
	}
	put(16, 1<<32|62<<16|3, 0, 64, table, 64<<32, 64<<48|1<<16|56)
	le.PutUint16(file[60:], 3)
	le.PutUint16(file[62:], 2)
	put(64, 5<<32|1, enclaveCode, enclaveCode, enclaveCode, 100, 100, sgx.PageSize)
	copy(file[enclaveCode:], bytes.Repeat([]byte{0x90}, 100))
	copy(file[enclaveNote:], "\x0d\x00\x00\x00\x60\x07\x00\x00\x01\x00\x00\x00sgx_metadata\x00")
	copy(file[namesAt:], names)
	put(table+64, 7<<32|1, 0, 0, enclaveNote, noteSize, 0, 1)
	put(table+128, 3<<32|15, 0, 0, namesAt, uint64(len(names)), 0, 1)
	block := uint64(enclaveNote + noteHeader)
	put(block, 0x86a80294635d0e4c, 1<<32|4, blockSize, 1, 0, enclaveSize)
	m := sgx.NewMeasurer(enclaveSize, 1)
	m.AddPages(enclaveCode, sgx.REGPage|sgx.Read|sgx.Execute, file[enclaveCode:enclaveNote])
	body.MRENCLAVE = m.Sum()
	copy(file[block+64:], signBody(t, body))
	return file
}

// signBody signs with the public test key of package sgx.
func signBody(t testing.TB, body sgx.Body) []byte {
	t.Helper()
	text, err := os.ReadFile("../../measure/sgx/testdata/primes.txt")
	if err != nil {
		t.Fatal(err)
	}
	one, n, phi := big.NewInt(1), big.NewInt(1), big.NewInt(1)
	var primes []*big.Int
	for _, line := range strings.Fields(string(text)) {
		p, _ := new(big.Int).SetString(line, 62)
		primes = append(primes, p)
		n.Mul(n, p)
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: new(big.Int).ModInverse(big.NewInt(3), phi), Primes: primes}
	s, err := sgx.Sign(body, key)
	if err != nil {
		t.Fatal(err)
	}
	return s.Bytes()
}

// written writes a file of a test.
func written(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
