// SPDX-License-Identifier: Apache-2.0

package inputtest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is no bound that
// anything is measured by: a machine that is busy enough takes seconds.
const patience = time.Minute

// Eventually waits until a condition holds, and fails the test if it does not
// within a minute. It is for what real sockets, files and processes do;
// where only time passes, testing/synctest waits without taking any.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !waited(holds) {
		t.Fatalf("%s: not within %v", what, patience)
	}
}

func waited(holds func() bool) bool {
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Leaks returns a function that fails the test if more goroutines run, or more
// files are open, than when Leaks was called, and do not end soon.
func Leaks(t testing.TB) (check func()) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	return func() {
		t.Helper()
		if waited(func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files }) {
			return
		}
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines and %d files are left of %d and %d\n%s", runtime.NumGoroutine(), openFiles(t),
			goroutines, files, stacks[:runtime.Stack(stacks, true)])
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
