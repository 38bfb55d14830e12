//go:build race

package contract

// The race detector makes curve arithmetic some thirty times slower.
const raceDetector = true
