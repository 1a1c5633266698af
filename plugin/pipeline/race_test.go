// SPDX-License-Identifier: Apache-2.0

//go:build race

package pipeline

// raceEnabled reports that the race detector slows all down.
const raceEnabled = true
