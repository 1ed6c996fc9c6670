// Package benchmark measures a trail, and whatever else can take events, under
// the same load, beside the raw limit of the disk and processor that it runs on.
//
// Numbers of two runs on a shared machine differ by more than most changes to
// the code do. So everything that is to be compared is measured in one run, in
// rounds that alternate, and what counts is the median of the ratios of each
// round, not the rates themselves.
//
// The package holds no assertions on time: it reports.
package benchmark
