package node

import (
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Asked is what one question of a bulk request asks.
type Asked uint8

const (
	AskPayload Asked = 1 // a locator: the payload's beginning, see BeginningForm
	AskState   Asked = 2 // ledgerclient.Inquiry, answered as at PathState
	AskRelease Asked = 3 // ledgerclient.Request, answered as at PathRelease
	AskInquiry Asked = 4 // ledgerclient.Inquiry, answered as at PathInquire
)

const (
	inquirySize = 32 + 33 + 32 + 32 + 64
	requestSize = 32 + 33 + contract.Size + 33 + 64
)

// size is how many bytes the message has; 0 if there is no such question.
func (a Asked) size() int {
	switch a {
	case AskPayload:
		return 32
	case AskState, AskInquiry:
		return inquirySize
	case AskRelease:
		return requestSize
	}
	return 0
}

// Most is how many bytes an answer has at most.
func (a Asked) Most() int {
	switch a {
	case AskPayload:
		return 8 + ledgerclient.FirstBytes
	case AskState:
		return maxState
	case AskRelease:
		return maxAnswer
	}
	return MaxInquiry
}

// Question is one of a bulk request: the message that it is alone.
type Question struct {
	Asked   Asked
	Message []byte
}

// BulkForm is of 1 to ledgerclient.MaxBulk questions: what is asked 1, and the message,
// of which the length follows from that.
var BulkForm = list("bulk request", 1, ledgerclient.MaxBulk, func(c *codec.Codec, q *Question) {
	codec.Int(c, &q.Asked)
	c.Check(q.Asked.size() > 0)
	if c.Reading() {
		q.Message = make([]byte, q.Asked.size())
	}
	c.Bytes(q.Message)
})

// Said is what a node says to one question of a bulk request.
type Said struct {
	How    How
	Answer []byte // what the question alone is answered with, or the problem document; nil of SaidAgain
}

// How says what became of a question.
type How uint8

const (
	SaidAnswer  How = 0
	SaidProblem How = 1
	SaidAgain   How = 2 // there was no room for an answer, and nothing was done: ask again
)

// SaidForm is of what is said to n questions, in their order: how 1 and, but for
// SaidAgain, the answer or the problem behind its length in 4 bytes.
func SaidForm(n int) Form[[]Said] {
	return Form[[]Said]{"answer to a bulk request", func(c *codec.Codec, all *[]Said) {
		codec.List(c, all, n, func(c *codec.Codec, s *Said) {
			codec.Int(c, &s.How)
			c.Check(s.How <= SaidAgain)
			if s.How != SaidAgain {
				codec.Sized[uint32](c, &s.Answer, MaxInquiry)
				c.Check(len(s.Answer) > 0)
			}
		})
	}}
}

// Beginning is the beginning of a payload.
type Beginning struct {
	Size  uint64 // of all of it, in bytes
	Bytes []byte // of them the first ledgerclient.FirstBytes
}

// BeginningForm is of size 8, and the bytes.
var BeginningForm = Form[Beginning]{"beginning of a payload", func(c *codec.Codec, b *Beginning) {
	codec.Int(c, &b.Size)
	c.Rest(&b.Bytes, 0, ledgerclient.FirstBytes)
	c.Check(b.Size <= maxStored && uint64(len(b.Bytes)) == min(b.Size, ledgerclient.FirstBytes))
}}
