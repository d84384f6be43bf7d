//go:build !linux

package worker

import "errors"

func overlay(_, _, _ string) error { return errors.ErrUnsupported }

func release(string) {}
