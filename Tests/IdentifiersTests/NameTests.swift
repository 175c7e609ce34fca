import Foundation
import Identifiers
import Testing

@Suite struct NameTests {
    @Test func `a name prints as its text`() {
        let task: TaskName = "satellite"
        #expect("\(task)" == "satellite")
        #expect(TaskName(rawValue: "satellite") == task)
    }

    @Test func `names are ordered by their scalars, whatever the language`() {
        let names: [LayerName] = ["\u{10000}", "\u{FFFD}", "é", "b", "Z", "e\u{301}", "a10", "a2", ""]
        let expected = ["", "Z", "a10", "a2", "b", "e\u{301}", "é", "\u{FFFD}", "\u{10000}"]
        #expect(names.sorted().map { Array($0.rawValue.unicodeScalars) } == expected.map { Array($0.unicodeScalars) })
    }

    @Test func `a unit is printed with its job`() {
        #expect("\(UnitReference(job: "job-3", unit: UnitIndex(7)))" == "job-3/7")
    }

    @Test func `units are ordered as the plan does and attempts by their number`() {
        #expect(UnitIndex(2) < UnitIndex(10))
        #expect(Attempt(2) < Attempt(10))
        #expect(Attempt(1).next == Attempt(2))
        #expect("\(Attempt(3)) \(UnitIndex(4))" == "3 4")
    }

    /// The journal holds references and digests as JSON.
    ///
    /// This build and later ones must read what was written.
    @Test func `references and digests keep their written form`() throws {
        struct Row: Codable, Equatable {
            var unit: UnitReference
            var digest: BlobDigest
            var side: FactorSide
        }
        let digest = try #require(BlobDigest(bytes: [UInt8](repeating: 0xab, count: 32)))
        let row = Row(unit: UnitReference(job: "job-1", unit: UnitIndex(2)), digest: digest, side: .gradient)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let written = String(decoding: try encoder.encode(row), as: UTF8.self)
        #expect(
            written == """
                {"digest":"\(String(repeating: "ab", count: 32))","side":"B","unit":{"job":"job-1","unit":{"position":2}}}
                """
        )
        #expect(try JSONDecoder().decode(Row.self, from: Data(written.utf8)) == row)
    }

    @Test func `a digest of another form is refused with what was expected`() {
        let error = #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([BlobDigest].self, from: Data(#"["e3b0"]"#.utf8))
        }
        guard case .dataCorrupted(let context) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(context.debugDescription == "\"e3b0\" is not a SHA-256 digest of 64 hexadecimal digits")
    }
}
