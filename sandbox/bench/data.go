package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// writeHalves writes a file that is random in its first half, and text in its second.
func writeHalves(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("making data: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, err = io.CopyN(w, random, size/2)
	words := vocabulary()
	for left := size - size/2; left > 0 && err == nil; {
		n, failed := w.WriteString(words[random.Uint64()%uint64(len(words))])
		left, err = left-int64(n), failed
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("making data: %w", err)
	}
	return nil
}

// vocabulary are 4,096 words of two to nine letters, each with what stands behind it.
func vocabulary() (words []string) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 4096 {
		word := make([]byte, 2+random.IntN(8))
		for i := range word {
			word[i] = "etaoinshrdlu"[random.IntN(12)]
		}
		words = append(words, string(word)+" ")
	}
	return words
}

// writeMany writes files of 300 bytes, a thousand in a folder.
func writeMany(dir string, count int) error {
	for i := range count {
		folder := filepath.Join(dir, fmt.Sprint(i/1000))
		if i%1000 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return fmt.Errorf("making data: %w", err)
			}
		}
		text := fmt.Sprintf("%-299d\n", i)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i%1000)), []byte(text), 0o644); err != nil {
			return fmt.Errorf("making data: %w", err)
		}
	}
	return nil
}
