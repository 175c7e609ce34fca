import Identifiers

extension RunName {
    /// Reads the run in `run:NAME`, as a task's `factors` may name it; nil for a path or a pattern.
    ///
    /// A file whose name begins in the same way is named `./run:…`.
    init?(reference text: String) {
        let prefix = "run:"
        guard text.hasPrefix(prefix) else { return nil }
        self.init(rawValue: String(text.dropFirst(prefix.count)))
    }
}
