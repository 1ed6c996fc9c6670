package benchmark

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// cpuTime is processor time used since the machine was started.
type cpuTime struct {
	own, all time.Duration // by this process; by all
	known    bool
}

// readCPU reads it where the system tells, which is Linux.
func readCPU() cpuTime {
	// proc(5): in /proc/self/stat, utime and stime are the 12th and 13th
	// number behind the command in parentheses; the first line of /proc/stat
	// has user, nice, system, idle, iowait, irq, softirq and steal.
	self, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return cpuTime{}
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTime{}
	}
	own := ticks(bytes.Fields(self[bytes.LastIndexByte(self, ')')+1:]), 11, 12)
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	all := ticks(bytes.Fields(line), 1, 2, 3, 6, 7, 8)
	return cpuTime{own: own, all: all, known: own > 0 && all >= own}
}

// ticks adds up fields in the unit of the kernel's interface, 1/100 s.
func ticks(fields [][]byte, which ...int) time.Duration {
	sum := int64(0)
	for _, i := range which {
		if i >= len(fields) {
			return 0
		}
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0
		}
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// since returns what was used after t: by this process, and how many
// processors all others kept busy. Both are 0 where that is not known.
func (t cpuTime) since(elapsed time.Duration) (own time.Duration, others float64) {
	now := readCPU()
	if !t.known || !now.known || elapsed <= 0 {
		return 0, 0
	}
	own = now.own - t.own
	return own, max(0, float64(now.all-t.all-own)/float64(elapsed))
}
