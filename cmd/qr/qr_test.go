package qr

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto/fault"
	rsc "rsc.io/qr"
)

const text = "carekey-node1abcdefghijklmnopqrstuvwxyz234567"

// What is drawn is the code, module by module, inside a white edge of four.
func TestText(t *testing.T) {
	drawn, columns, lines, err := Text(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := rsc.Encode(strings.ToUpper(text), rsc.L)
	if err != nil {
		t.Fatal(err)
	}
	y := -4
	for line := range strings.Lines(drawn) {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m\n")
		cells := []rune(line)
		if len(cells) != code.Size+8 || len(cells) != columns {
			t.Fatalf("%d cells in a row of a code of %d", len(cells), code.Size)
		}
		for i, c := range cells {
			x := i - 4
			top, bottom := c == '█' || c == '▀', c == '█' || c == '▄'
			if top != code.Black(x, y) || bottom != code.Black(x, y+1) {
				t.Fatalf("cell at %d, %d is %q", x, y, c)
			}
		}
		y += 2
	}
	if y < code.Size+4 || lines != strings.Count(drawn, "\n") {
		t.Errorf("only %d rows, and %d lines are said", y, lines)
	}
	if _, _, _, err := Text(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that fits into no code")
	}
}

// The picture is the code, module by module.
func TestPNG(t *testing.T) {
	drawn := drawn(t, text)
	code, err := rsc.Encode(strings.ToUpper(text), rsc.L)
	if err != nil {
		t.Fatal(err)
	}
	if want := (code.Size + 8) * 8; drawn.Bounds().Dx() != want || drawn.Bounds().Dy() != want {
		t.Fatalf("%v, want %d", drawn.Bounds(), want)
	}
	for y := -4; y < code.Size+4; y++ {
		for x := -4; x < code.Size+4; x++ {
			r, _, _, _ := drawn.At((x+4)*8+3, (y+4)*8+3).RGBA()
			if (r == 0) != code.Black(x, y) {
				t.Fatalf("module at %d, %d is %d", x, y, r)
			}
		}
	}
	if _, err := PNG(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that fits into no code")
	}
}

// drawn is the picture of a code.
func drawn(t testing.TB, text string) image.Image {
	t.Helper()
	b, err := PNG(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encoded(t testing.TB, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sheet is a white picture.
func sheet(width, height int) *image.Gray {
	s := image.NewGray(image.Rect(0, 0, width, height))
	draw.Draw(s, s.Bounds(), image.White, image.Point{}, draw.Src)
	return s
}

// long is as long as the longest thing that people hand to each other.
var long = "carekey-card1" + strings.Repeat("abcdefghijklmnopqrstuvwxyz234567", 84)

// What is drawn is read, in every size, kind of picture and place that one comes in.
func TestRead(t *testing.T) {
	for _, text := range []string{"A", text, long} {
		code := drawn(t, text)
		r := code.Bounds()
		big := sheet(r.Dx()+700, r.Dy()+300)
		draw.Draw(big, r.Add(image.Pt(333, 77)), code, image.Point{}, draw.Src)
		deep, clear := image.NewNRGBA64(r), image.NewNRGBA(r)
		draw.Draw(deep, r, code, image.Point{}, draw.Src)
		for y := range r.Dy() { // black on what is not there
			for x := range r.Dx() {
				if c, _, _, _ := code.At(x, y).RGBA(); c == 0 {
					clear.Set(x, y, color.Black)
				}
			}
		}
		small := image.NewGray(image.Rect(0, 0, r.Dx()/4, r.Dy()/4)) // two pixels to a module
		turned := image.NewGray(r)
		faint := image.NewGray(r)
		for y := range r.Dy() {
			for x := range r.Dx() {
				c := color.GrayModel.Convert(code.At(x, y)).(color.Gray)
				turned.SetGray(r.Dy()-1-y, x, c)
				faint.SetGray(x, y, color.Gray{Y: 90 + c.Y/3 + uint8(x*40/r.Dx())}) // in a shadow
			}
		}
		for y := range small.Rect.Dy() {
			for x := range small.Rect.Dx() {
				small.Set(x, y, code.At(4*x, 4*y))
			}
		}
		for name, p := range map[string]image.Image{
			"as it is written": code, "on a sheet": big, "16 bits": deep, "transparent": clear, "small": small, "turned": turned, "faint": faint,
		} {
			got, err := Read(bytes.NewReader(encoded(t, p)))
			if err != nil || !slices.Equal(got, []string{strings.ToUpper(text)}) {
				t.Errorf("%s, of %d characters: %q, %v", name, len(text), got, err)
			}
		}
	}
}

// Two codes are two texts: who reads them asks which is meant.
func TestReadTwo(t *testing.T) {
	a, b := drawn(t, text), drawn(t, "ANOTHER")
	s := sheet(a.Bounds().Dx()+b.Bounds().Dx()+100, 600)
	draw.Draw(s, a.Bounds().Add(image.Pt(10, 20)), a, image.Point{}, draw.Src)
	draw.Draw(s, b.Bounds().Add(image.Pt(a.Bounds().Dx()+50, 90)), b, image.Point{}, draw.Src)
	got, err := Read(bytes.NewReader(encoded(t, s)))
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []string{"ANOTHER", strings.ToUpper(text)}) {
		t.Errorf("%q, %v", got, err)
	}
}

// bomb is a PNG of so many pixels, all alike, which takes some KB as a file.
func bomb(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		from := len(b)
		b = append(append(b, kind...), data...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	chunk("IHDR", append(head, 8, 6, 0, 0, 0)) // 8 bits, with transparency
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	row := make([]byte, 1+4*min(width, 1<<16))
	for range min(height, 1<<10) {
		z.Write(row)
	}
	z.Close()
	chunk("IDAT", packed.Bytes())
	chunk("IEND", nil)
	return b
}

// Threat: a picture that fills the memory, takes for ever, or ends the program.
func TestReadHostile(t *testing.T) {
	code, err := PNG(text)
	if err != nil {
		t.Fatal(err)
	}
	// Corners as far as the eye can see: which belong together?
	crowd := sheet(2000, 2000)
	for at := 0; at < 90*90; at++ {
		corner := image.Rect(0, 0, 14, 14).Add(image.Pt(at%90*22+6, at/90*22+6))
		for inset, c := range []*image.Uniform{image.Black, image.White, image.Black} {
			draw.Draw(crowd, corner.Inset(2*inset), c, image.Point{}, draw.Src)
		}
	}
	grid := sheet(1200, 1200) // fewer corners, and each three of them make a code
	for at := 0; at < 13*13; at++ {
		corner := image.Rect(0, 0, 14, 14).Add(image.Pt(at%13*80+30, at/13*80+30))
		for inset, c := range []*image.Uniform{image.Black, image.White, image.Black} {
			draw.Draw(grid, corner.Inset(2*inset), c, image.Point{}, draw.Src)
		}
	}
	for name, c := range map[string]struct {
		b   []byte
		why string
	}{
		"nothing":            {nil, "no PNG"},
		"a text":             {[]byte(text), "no PNG"},
		"cut":                {code[:len(code)/2], "damaged"},
		"the head alone":     {code[:33], "damaged"},
		"100 megapixels":     {bomb(10_000, 10_000), "100000000 pixels"},
		"the widest":         {bomb(1<<31-1, 1<<31-1), "no PNG"},
		"a line":             {bomb(20_000_001, 1), "20000001 pixels"},
		"too little of it":   {bomb(4000, 5000), "damaged"},
		"nothing in it":      {encoded(t, sheet(300, 300)), "no QR code"},
		"one pixel":          {encoded(t, sheet(1, 1)), "no QR code"},
		"a crowd":            {encoded(t, crowd), "cut the one out"},
		"each makes a code":  {encoded(t, grid), "cut the one out"},
		"a JPEG":             {[]byte("\xff\xd8\xff\xe0 JFIF"), "no PNG"},
		"longer than 64 MiB": {append(append(slices.Clone(code[:33]), chunkOf(MaxFile)...), code[33:]...), "64 MiB"},
	} {
		got, err := Read(bytes.NewReader(c.b))
		if e, ok := fault.As(err, ErrPicture); !ok || !strings.Contains(fault.Get[string](e, "why"), c.why) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// chunkOf is a chunk with n bytes of what no reader needs.
func chunkOf(n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	b = append(append(b, "zzZz"...), make([]byte, n)...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// An independent decoder reads what is written, from the file and from the screen.
func TestOthersReadIt(t *testing.T) {
	// Small letters of a link are others than its capitals.
	link := "https://ledger.example/view#shlink:/" + strings.Repeat("eyJ1cmwiOiJodHRwczovL2xlZGdlci5leGFtcGxl-_", 9)
	for text, want := range map[string]string{text: strings.ToUpper(text), long: strings.ToUpper(long), link: link} {
		file, err := PNG(text)
		if err != nil {
			t.Fatal(err)
		}
		screen, columns, lines, err := Text(text)
		if err != nil {
			t.Fatal(err)
		}
		shot := clitest.Screen(t, screen)
		if size, err := png.DecodeConfig(bytes.NewReader(shot)); err != nil || size.Width != 4*columns || size.Height != 8*lines {
			t.Errorf("%d columns and %d lines are %v, %v", columns, lines, size, err)
		}
		for name, b := range map[string][]byte{"file": file, "screen": shot} {
			if got := clitest.Zbar(t, b); got != want {
				t.Errorf("%s of %d characters: %q", name, len(text), got)
			}
			if got, err := Read(bytes.NewReader(b)); err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("%s of %d characters, read here: %q, %v", name, len(text), got, err)
			}
		}
	}
}

// What others made is an error, or texts; never a panic, and nothing that grows.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"A", text} {
		b, err := PNG(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-20])
	}
	f.Add(bomb(100, 100))
	f.Add(bomb(10_000, 10_000))
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		texts, err := Read(bytes.NewReader(b))
		if (err == nil) != (len(texts) > 0) {
			t.Fatalf("%q, %v", texts, err)
		}
		if e, ok := fault.As(err, ErrPicture); err != nil && (!ok || e.Value("why") == "") {
			t.Fatal(err)
		}
		if IsPNG(b) != bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) {
			t.Fatal("another beginning")
		}
	})
}

// The bits of a picture are what others chose: bits that make a code of any kind are a
// text or an error.
func FuzzReadCode(f *testing.F) {
	f.Add(text, uint32(0), uint8(0))
	f.Add(text, uint32(17), uint8(40))
	f.Fuzz(func(t *testing.T, text string, seed uint32, flips uint8) {
		code, err := rsc.Encode(text, rsc.Level(seed%4))
		if err != nil {
			return
		}
		const pixels = 3
		s := sheet((code.Size+8)*pixels, (code.Size+8)*pixels)
		at := seed
		flipped := map[[2]int]bool{}
		for range flips {
			at = at*1664525 + 1013904223
			flipped[[2]int{int(at>>8) % code.Size, int(at>>20) % code.Size}] = true
		}
		for y := range code.Size {
			for x := range code.Size {
				if code.Black(x, y) != flipped[[2]int{x, y}] {
					draw.Draw(s, image.Rect(0, 0, pixels, pixels).Add(image.Pt((x+4)*pixels, (y+4)*pixels)), image.Black, image.Point{}, draw.Src)
				}
			}
		}
		texts, err := Read(bytes.NewReader(encoded(t, s)))
		if (err == nil) != (len(texts) > 0) {
			t.Fatalf("%q, %v", texts, err)
		}
	})
}
