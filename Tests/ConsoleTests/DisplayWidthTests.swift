import Testing

@testable import Console

@Suite struct DisplayWidthTests {
    /// Widths as wcwidth(3) of glibc has them; pictures and what joins them count in full.
    @Test(arguments: [
        ("", 0), ("abc", 3), ("größe", 5), ("gro\u{308}ße", 5), ("e\u{301}\u{327}", 1), ("日本語", 6), ("한글", 4),
        ("\u{1112}\u{1161}\u{11AB}", 2), ("ﾊﾝｶｸ", 4), ("ＡＢ", 4), ("🎉", 2), ("☀\u{FE0F}", 2), ("█·…–", 4),
        ("a\u{200B}b", 2),
        ("\u{20000}", 2),
    ])
    func `a text takes the columns that a terminal gives it`(text: String, columns: Int) {
        #expect(DisplayWidth.columns(of: text) == columns)
    }

    @Test func `a cut text ends with an ellipsis and is never wider than allowed`() {
        #expect(DisplayWidth.cut("abcdef", to: 6) == "abcdef")
        #expect(DisplayWidth.cut("abcdef", to: 5) == "abcd…")
        #expect(DisplayWidth.cut("日本語", to: 5) == "日本…")
        // Half of a wide character is none.
        #expect(DisplayWidth.cut("日本語", to: 4) == "日…")
        #expect(DisplayWidth.cut("abc", to: 1) == "…")
        #expect(DisplayWidth.cut("abc", to: 0).isEmpty)
        for text in ["layer 日本語 of größe", "🎉🎉🎉🎉", "e\u{301}e\u{301}e\u{301}"] {
            for columns in 0...30 { #expect(DisplayWidth.columns(of: DisplayWidth.cut(text, to: columns)) <= columns) }
        }
    }

    @Test func `what moves the cursor or turns the line becomes a blank`() {
        #expect(DisplayWidth.cut("a\nb\r\u{1B}[2Jc\td\u{202E}e\u{2028}f", to: 80) == "a b  [2Jc d e f")
    }
}
