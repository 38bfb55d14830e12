package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"slices"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/makiuchi-d/gozxing"
	multi "github.com/makiuchi-d/gozxing/multi/qrcode/detector"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// ErrPicture: no code was read from a picture. why is a sentence without its end.
const ErrPicture fault.Code = "bad-picture"

// Limits of a picture that is read: as a file, and once it is unpacked.
const (
	MaxFile   = 64 << 20   // bytes
	MaxPixels = 20_000_000 // which take up to 340 MB, of 16 bits a colour
)

// Limits of what looks like a code in a picture. A code has three corners. Finding which
// of them belong together takes their number to the third, and one look for each.
const (
	maxCorners = 192
	maxLooks   = 512
)

// IsPNG reports whether the first bytes of a file, 8 of them, are those of a picture that
// Read takes.
func IsPNG(begin []byte) bool { return bytes.HasPrefix(begin, []byte("\x89PNG\r\n\x1a\n")) }

// Read returns what the codes in a PNG say, each once, at least one. What is in the
// picture is believed in nothing: its size is judged before it is unpacked. The error is
// an [ErrPicture], or one of r.
func Read(r io.Reader) (texts []string, err error) {
	limited := &io.LimitedReader{R: r, N: MaxFile + 1}
	bad := func(format string, args ...any) ([]string, error) {
		if limited.N == 0 {
			format, args = "it is larger than 64 MiB", nil
		}
		return nil, ErrPicture.With("why", fmt.Sprintf(format, args...))
	}
	// The library has never been attacked by many: what it stumbles over is no code.
	defer func() {
		if p := recover(); p != nil {
			why := "what is in it looks like a QR code, and is none that can be read"
			if p == errCrowded {
				why = "too much in it looks like QR codes: cut the one out that is meant"
			}
			texts, err = bad("%s", why)
		}
	}()
	var begin bytes.Buffer
	size, err := png.DecodeConfig(io.TeeReader(limited, &begin))
	if err != nil {
		return bad("it is no PNG, or damaged (%v)", err)
	}
	if pixels := int64(size.Width) * int64(size.Height); pixels > MaxPixels {
		return bad("it has %d pixels, and %d are the most: make it smaller", pixels, MaxPixels)
	}
	picture, err := png.Decode(io.MultiReader(&begin, limited))
	if err != nil {
		return bad("it is no PNG, or damaged (%v)", err)
	}
	if texts = codes(picture); len(texts) == 0 {
		return bad("there is no QR code in it that can be read")
	}
	return texts, nil
}

// errCrowded ends the search in a picture with more corners than codes that anybody
// hands over.
var errCrowded = fmt.Errorf("crowded")

// codes returns what all codes in a picture say. It panics where the library does.
func codes(picture image.Image) (texts []string) {
	source := gozxing.NewLuminanceSourceFromImage(picture)
	// One that adapts to shadows, as in a photograph, and one for what a program drew.
	for _, b := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source)} {
		black, err := b.GetBlackMatrix()
		if err != nil {
			continue
		}
		for _, text := range codesIn(black) {
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		if len(texts) > 0 {
			break
		}
	}
	return texts
}

func codesIn(black *gozxing.BitMatrix) (texts []string) {
	corners := 0
	count := gozxing.ResultPointCallback(func(gozxing.ResultPoint) {
		if corners++; corners > maxCorners {
			panic(errCrowded)
		}
	})
	found, err := multi.NewMultiFinderPatternFinder(black, count).
		FindMulti(map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return nil
	}
	if len(found) > maxLooks {
		panic(errCrowded)
	}
	look, decode := detector.NewDetector(black), decoder.NewDecoder()
	for _, f := range found {
		at, err := look.ProcessFinderPatternInfo(f)
		if err != nil {
			continue
		}
		if code, err := decode.Decode(at.GetBits(), nil); err == nil {
			texts = append(texts, code.GetText())
		}
	}
	return texts
}
