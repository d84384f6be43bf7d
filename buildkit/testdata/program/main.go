// Command program is what the tests' containers run: one static file that
// needs nothing else in its image.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(verb string, args []string) error {
	switch verb {
	case "say": // STDOUT STDERR EXIT-CODE
		return say(args[0], args[1], args[2])
	case "hang":
		fmt.Println("hanging")
		time.Sleep(time.Hour)
		return nil
	case "print":
		for _, arg := range args {
			fmt.Println(arg)
		}
		return nil
	case "write": // FILE TEXT
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "twice": // HOW FILE: makes FILE-1 and FILE-2, one file or two, as the file HOW says
		return twice(args[0], args[1])
	case "cat":
		return cat(args)
	case "sum":
		return sum(args[0])
	case "list": // FOLDER FILE: writes what lies below the folder to the file
		return list(args[0], args[1])
	case "environment":
		for _, entry := range os.Environ() {
			fmt.Println(entry)
		}
		return nil
	case "whoami":
		folder, err := os.Getwd()
		fmt.Println(os.Getuid(), os.Getgid(), folder)
		return err
	case "interfaces":
		return interfaces()
	case "dial":
		_, err := net.DialTimeout("tcp", args[0], time.Second)
		return err
	case "get":
		return get(args[0])
	case "fill": // FOLDER MEGABYTES: in files of 64 MB
		return fill(args[0], args[1])
	case "spawn": // NUMBER
		return spawn(args[0])
	case "copy": // FROM TO
		data, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], data, 0o644)
	case "linkto": // TARGET LINK
		return os.Symlink(args[0], args[1])
	case "link": // FILE
		to, err := os.Readlink(args[0])
		fmt.Println(to)
		return err
	}
	return fmt.Errorf("no verb %q", verb)
}

func say(stdout, stderr, code string) error {
	io.WriteString(os.Stdout, stdout)
	io.WriteString(os.Stderr, stderr)
	exit, err := strconv.Atoi(code)
	if err == nil {
		os.Exit(exit)
	}
	return err
}

func twice(how, file string) error {
	said, err := os.ReadFile(how)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+"-1", []byte("same"), 0o644); err != nil {
		return err
	}
	if string(said) == "link" {
		return os.Link(file+"-1", file+"-2")
	}
	return os.WriteFile(file+"-2", []byte("same"), 0o644)
}

func cat(files []string) error {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		os.Stdout.Write(data)
	}
	return nil
}

func sum(file string) error {
	data, err := os.ReadFile(file)
	fmt.Printf("%x\n", sha256.Sum256(data))
	return err
}

func list(folder, file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		_, err = fmt.Fprintln(out, path, info.Mode(), stat.Uid, stat.Gid, stat.Nlink, info.ModTime().Unix())
		return err
	})
}

func interfaces() error {
	found, err := net.Interfaces()
	for _, i := range found {
		fmt.Println(i.Name)
	}
	return err
}

// get speaks just enough HTTP to ask a proxy, or the server itself.
func get(address string) error {
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	to := target
	if proxy := os.Getenv("http_proxy"); proxy != "" {
		if to, err = url.Parse(proxy); err != nil {
			return err
		}
	}
	conn, err := net.Dial("tcp", to.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", address, target.Host)
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// fill writes files until it cannot.
func fill(folder, megabytes string) error {
	count, err := strconv.Atoi(megabytes)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<20)
	for i := range count / 64 {
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), block, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// spawn starts processes until it cannot.
func spawn(number string) error {
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	for range count {
		if _, err := os.StartProcess("/program", []string{"/program", "hang"}, &os.ProcAttr{}); err != nil {
			return err
		}
	}
	return nil
}
