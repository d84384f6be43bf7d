package measure

import (
	"regexp"
	"strconv"
)

// FormatSize writes a number of bytes in its shortest form: 1073741824, 1048576K
// and 1024M are 1G. Any other text is returned as it is.
func FormatSize(text string) string {
	parts := regexp.MustCompile(`^([0-9]+)([KMG]?)$`).FindStringSubmatch(text)
	if parts == nil {
		return text
	}
	n, err := strconv.ParseUint(parts[1], 10, 64)
	unit := map[string]int{"": 0, "K": 1, "M": 2, "G": 3}[parts[2]]
	if err != nil {
		return text
	}
	for ; unit < 3 && n > 0 && n%1024 == 0; unit++ {
		n /= 1024
	}
	return strconv.FormatUint(n, 10) + []string{"", "K", "M", "G"}[unit]
}
