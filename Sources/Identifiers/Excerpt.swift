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

    /// A sentence in one line, ``printable``, and cut in its middle where it is far longer than a person reads.
    ///
    /// The start says what the sentence is about, and the end says what is wrong and what to do.
    public var sentence: String {
        guard utf8.count > 4096 else { return printable }
        var start = ""
        for scalar in unicodeScalars.prefix(1000) { start.unicodeScalars.append(scalar) }
        var end = ""
        for scalar in unicodeScalars.suffix(1000) { end.unicodeScalars.append(scalar) }
        return start.printable + "…" + end.printable
    }
}
