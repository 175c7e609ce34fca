import Testing

@testable import PageMarkup

struct MarkupTests {
    @Test func `text and attributes are escaped`() {
        let markup = Markup.tag("a", ["href": "\"><script>", "title": "it's"], "<script>alert(1)</script> & \"x\"")
        #expect(
            markup.html == "<a href=\"&quot;&gt;&lt;script&gt;\" title=\"it&#39;s\">"
                + "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;</a>"
        )
    }

    @Test func `characters that XML forbids are replaced`() {
        #expect("a\u{0}\u{1B}\u{FFFF}\r\nb".escapedForMarkup == "a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\nb")
    }

    @Test func `empty elements are closed as HTML and XML both read them`() {
        #expect(Markup.tag("td", [:], []).html == "<td></td>")
        #expect(Markup.tag("meta", ["charset": "utf-8"]).html == "<meta charset=\"utf-8\" />\n")
    }

    @Test func `attributes without a value are left out`() {
        #expect(Markup.tag("th", ["class": nil, "scope": "row"], "x").html == "<th scope=\"row\">x</th>")
    }
}
