/// A place where a rule of the house is broken.
struct Violation: Equatable, CustomStringConvertible {
    let file: String
    let line: Int
    let message: String

    var description: String { "\(file):\(line): \(message)" }
}

extension [Violation] {
    /// One violation a line, for a test's failure.
    var report: String { "\(count) found\n" + map(\.description).joined(separator: "\n") }
}
