extension StringProtocol {
    /// The text as a message quotes it: whole when short, else its start and `…`; always ``printable``.
    ///
    /// A text from outside may have any length, but a message about it must stay short.
    public var excerpt: String {
        guard utf8.count > 160 else { return printable }
        var excerpt = ""
        // By scalars, because one character may consist of any number of them.
        for scalar in unicodeScalars.prefix(100) { excerpt.unicodeScalars.append(scalar) }
        return excerpt.printable + "…"
    }

    /// A sentence in one line, ``printable``, with an ``excerpt`` of each text that it quotes, and cut in its middle
    /// where it is still far longer than a person reads.
    ///
    /// The start says what the sentence is about, and the end says what is wrong and what to do.
    public var sentence: String {
        guard utf8.count > 160 else { return printable }
        let text = excerptingQuotations
        guard text.utf8.count > 4096 else { return text.printable }
        var start = ""
        for scalar in text.unicodeScalars.prefix(1000) { start.unicodeScalars.append(scalar) }
        var end = ""
        for scalar in text.unicodeScalars.suffix(1000) { end.unicodeScalars.append(scalar) }
        return start.printable + "…" + end.printable
    }

    /// The text with an excerpt of everything between two quotation marks.
    ///
    /// The first mark stands after a space or a bracket, and the second before a space, a bracket or punctuation. Marks
    /// inside the quoted text seldom do.
    private var excerptingQuotations: String {
        let text = Array(utf8)
        var parts: [String] = []
        var (copied, position) = (0, 0)
        while let first = text[position...].firstIndex(of: UInt8(ascii: "\"")) {
            position = first + 1
            guard first == 0 || " ([".utf8.contains(text[first - 1]) else { continue }
            let last = text[position...].indices.first { index in
                text[index] == UInt8(ascii: "\"")
                    && (index + 1 == text.count || " ,.;:)]".utf8.contains(text[index + 1]))
            }
            guard let last else { break }
            if last - position > 160 {
                parts.append(String(decoding: text[copied..<position], as: UTF8.self))
                parts.append(String(decoding: text[position..<last], as: UTF8.self).excerpt)
                copied = last
            }
            position = last + 1
        }
        guard !parts.isEmpty else { return String(self) }
        return parts.joined() + String(decoding: text[copied...], as: UTF8.self)
    }
}
