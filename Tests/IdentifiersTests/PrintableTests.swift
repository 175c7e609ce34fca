import Identifiers
import Testing

/// Texts from outside, as a person sees them.
@Suite struct PrintableTests {
    @Test(arguments: ["", "fc1.weight", "größe", "层", "👩‍🔬", "a\\n", "क्‍ष"])
    func `what is printable stays as it is`(text: String) {
        #expect(text.printable == text)
        #expect(text.printableLines == text)
    }

    @Test(arguments: [
        ("\u{1B}[2J", "\\u{1b}[2J"), ("a\nb", "a\\nb"), ("a\r\nb", "a\\r\\nb"), ("\r", "\\r"), ("a\tb", "a\\tb"),
        ("\u{7F}", "\\u{7f}"), ("\u{9B}31m", "\\u{9b}31m"), ("\u{0}", "\\u{0}"), ("\u{85}", "\\u{85}"),
        // Text directions, separators and invisible formats.
        ("\u{202E}txt.exe", "\\u{202e}txt.exe"), ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
        ("\u{2028}", "\\u{2028}"),
        ("\u{2029}", "\\u{2029}"), ("\u{200B}", "\\u{200b}"), ("\u{FEFF}x", "\\u{feff}x"), ("\u{E0041}", "\\u{e0041}"),
    ])
    func `what controls a terminal or the direction of writing is shown as an escape`(text: String, shown: String) {
        #expect(text.printable == shown)
        #expect(text.excerpt == shown)
        #expect(text.sentence == shown)
        #expect(shown.printable == shown)
    }

    @Test func `text of several lines keeps them`() {
        #expect("a\tb\nc\u{1B}\r".printableLines == "a\tb\nc\\u{1b}\\r")
    }
}
