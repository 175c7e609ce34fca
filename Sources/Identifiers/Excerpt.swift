extension StringProtocol {
    /// The text as a message quotes it: whole when it is short, otherwise its start and `…`.
    ///
    /// What a stranger wrote may have any length; the sentence about it must not.
    public var excerpt: String {
        guard utf8.count > 160 else { return String(self) }
        var excerpt = ""
        // By scalars, because one character may consist of any number of them.
        for scalar in unicodeScalars.prefix(100) { excerpt.unicodeScalars.append(scalar) }
        return excerpt + "…"
    }
}
