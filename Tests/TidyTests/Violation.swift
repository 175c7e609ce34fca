/// A place where a rule of the project is broken.
struct Violation: Equatable, CustomStringConvertible {
    let file: String
    let line: Int
    let message: String

    var description: String { "\(file):\(line): \(message)" }
}

extension [Violation] {
    /// The violations for a test's failure, one on each line.
    var report: String { "\(count) found\n" + map(\.description).joined(separator: "\n") }
}
