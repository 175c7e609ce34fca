extension StringProtocol {
    /// The text as a message quotes it: whole when it is short, otherwise its start and `…`; always ``printable``.
    ///
    /// What a stranger wrote may have any length; the sentence about it must not.
    public var excerpt: String {
        guard utf8.count > 160 else { return printable }
        var excerpt = ""
        // By scalars, because one character may consist of any number of them.
        for scalar in unicodeScalars.prefix(100) { excerpt.unicodeScalars.append(scalar) }
        return excerpt.printable + "…"
    }

    /// A whole sentence, in one line and cut where it is far longer than any that a person reads: ``printable``.
    public var sentence: String {
        guard utf8.count > 4096 else { return printable }
        var start = ""
        for scalar in unicodeScalars.prefix(2000) { start.unicodeScalars.append(scalar) }
        return start.printable + "…"
    }
}
