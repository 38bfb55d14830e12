package health

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode"
)

// pageHead is everything that the page needs: it names nothing outside of itself, and its
// policy lets a browser fetch nothing even if what stands below were to name something. The
// policy allows no script.
const pageHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width">
<title>Health view</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;max-width:52em;margin:1.5em auto;padding:0 1em;color:#111;background:#fff}
h1{font-size:1.4em;border-bottom:2px solid #111;margin-top:1.6em;break-after:avoid}
h2{font-size:1.05em;margin:1.2em 0 .2em;break-after:avoid}
h1 small,h2 small{font-weight:normal;color:#444}
ul{margin:.2em 0;padding-left:1.2em}
li{break-inside:avoid}
li.more{list-style:none;color:#333}
li.warning{list-style:none;border-left:4px solid #b00;padding-left:.6em}
p.note{margin:.3em 0}
sup{color:#555}
svg{height:1em;width:4em;vertical-align:middle}
@media print{body{margin:0;max-width:none;font-size:11px}}
</style>
</head>
<body>
`

// HTML is the View as one page that can be printed and opened without a network. Where
// sources differ, and what the sources are, stands in it.
func (v *View) HTML() []byte {
	var b strings.Builder
	b.WriteString(pageHead)
	list := false
	end := func() {
		if list {
			b.WriteString("</ul>\n")
		}
		list = false
	}
	for _, l := range v.Lines(ViewWords{Conflicts: true, Sources: true}) {
		switch l.Kind {
		case LinePerson, LineSection:
			end()
			h := "h2"
			if l.Kind == LinePerson {
				h = "h1"
			}
			fmt.Fprintf(&b, "<%s>%s <small>%s</small>%s</%s>\n", h, escaped(l.Name), escaped(l.Text), numbers(l.Sources), h)
		case LineNote:
			end()
			fmt.Fprintf(&b, "<p class=\"note\">%s</p>\n", escaped(l.Text))
		default:
			if !list {
				b.WriteString("<ul>\n")
			}
			list = true
			fmt.Fprintf(&b, "<li class=\"%s\">", l.Kind)
			if l.Name != "" {
				fmt.Fprintf(&b, "<b>%s</b>", escaped(l.Name))
				if l.Text != "" {
					b.WriteString(": ")
				}
			}
			b.WriteString(escaped(l.Text) + sparkSVG(l.Trend) + numbers(l.Sources) + "</li>\n")
		}
	}
	end()
	b.WriteString("</body>\n</html>\n")
	return []byte(b.String())
}

// escaped makes a text of anybody's one that shows what it is, and nothing else: within a
// line, without what a browser would act on, and apart from the direction of what is around.
func escaped(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if s == "" {
		return ""
	}
	return "<bdi>" + html.EscapeString(s) + "</bdi>"
}

func numbers(sources []int) string {
	if len(sources) == 0 {
		return ""
	}
	var out []string
	for _, n := range sources {
		out = append(out, strconv.Itoa(n))
	}
	return "<sup> [" + strings.Join(out, " ") + "]</sup>"
}

// sparkSVG draws a trend; "" if there is none.
func sparkSVG(trend []float64) string {
	if len(trend) < 2 {
		return ""
	}
	var points []string
	for i, y := range levels(trend, 10) {
		points = append(points, fmt.Sprintf("%d,%d", 2+i*56/(len(trend)-1), 13-y))
	}
	return ` <svg viewBox="0 0 60 16" aria-hidden="true"><polyline fill="none" stroke="#111" points="` + strings.Join(points, " ") + `"/></svg>`
}

// levels spreads values over 0 to top; all in the middle if they are one.
func levels(values []float64, top int) []int {
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	out := make([]int, len(values))
	for i, v := range values {
		out[i] = top / 2
		if high > low {
			out[i] = int((v/2 - low/2) / (high/2 - low/2) * float64(top)) // halves: the whole span may be no float64
		}
	}
	return out
}

// Spark draws a trend in characters of one column each; "" if there is none.
func Spark(trend []float64) string {
	if len(trend) < 2 {
		return ""
	}
	var b strings.Builder
	for _, y := range levels(trend, 7) {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[y])
	}
	return b.String()
}
