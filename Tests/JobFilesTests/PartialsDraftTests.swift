import Identifiers
import JobFiles
import LinearAlgebra
import SystemPackage
import Testing

/// A file of partial sums whose rows are still coming.
struct PartialsDraftTests {
    private let first = [
        "task": "cars", "probes": "2", "normalization": "tak", "bias": #"{"fc":true,"q":false,"k":false}"#,
    ]
    private let sums: [(tensors: [String], columns: Int)] = [
        (["fc.A"], 3), (["fc.B"], 2), (["q.A", "k.A"], 4), (["q.B"], 2), (["k.B"], 2), (["norm.weight.F"], 5),
    ]

    private func draft(
        _ sums: [(tensors: [String], columns: Int)]? = nil, changing changes: [String: String?] = [:]
    ) throws -> PartialsDraft {
        var metadata = first
        for (key, value) in changes { metadata[key] = value }
        return try PartialsDraft(
            of: sums ?? self.sums, metadata: metadata, run: "monday", place: PartialsPlace(rank: 1, sequence: 2),
            file: "the stream")
    }

    private func refusal(_ body: () throws -> some Any) -> String {
        do {
            _ = try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func `a bias makes A one larger, and a shared sum becomes several tensors`() throws {
        let draft = try draft()
        #expect(draft.sums.map(\.appendsOne) == [true, false, false, false, false, false])
        let sizes = draft.entries.map { "\($0.name.name) \($0.shape.dimension)" }
        #expect(
            sizes == ["fc.A 4", "fc.B 2", "k.A 4", "k.B 2", "norm.weight.F 5", "q.A 4", "q.B 2"])
        #expect(draft.byteCount > 8 * (10 + 3 + 10 + 3 + 15 + 10 + 3))
    }

    @Test func `the rows that came become counts, by layer`() throws {
        let metadata = try draft().metadata(rows: [7, 14, 9, 18, 18, 10], committed: ["samples": "5"])
        #expect(metadata.rowCounts?["fc"] == 7 && metadata.rowCounts?["k"] == 9)
        #expect(metadata.sampleCounts["norm.weight"] == 5)
        #expect(metadata.run == "monday" && metadata.rank == 1 && metadata.sequence == 2)
    }

    @Test func `a layer that no row reached has none`() throws {
        let metadata = try draft().metadata(
            rows: [0, 0, 9, 18, 18, 10], committed: ["samples": #"{"fc":0,"q":5,"k":5,"norm.weight":5}"#])
        #expect(metadata.rowCounts?["fc"] == 0)
    }

    @Test(
        arguments: [
            ([7, 13, 9, 18, 18, 10], "fc.B", "13 rows came; expected 14"),
            ([7, 14, 9, 18, 17, 10], "k.B", "17 rows came; expected 18"),
            ([7, 14, 9, 18, 18, 9], "norm.weight.F", "9 rows came; expected 10"),
        ] as [([UInt64], String, String)])
    func `rows that do not agree are refused by tensor`(rows: [UInt64], tensor: String, words: String) throws {
        let draft = try draft()
        let sentence = refusal { try draft.metadata(rows: rows, committed: ["samples": "5"]) }
        #expect(sentence.hasPrefix("the stream: sum \"\(tensor)\": \(words)"), "\(sentence)")
    }

    @Test func `reduced rows are counted by samples, and the rows before must be stated`() throws {
        let draft = try draft(changing: ["normalization": "reduce"])
        let rows: [UInt64] = [5, 10, 5, 10, 10, 10]
        let sentence = refusal { try draft.metadata(rows: rows, committed: ["samples": "5"]) }
        #expect(sentence.contains("metadata \"rows\" is missing"), "\(sentence)")
        let metadata = try draft.metadata(rows: rows, committed: ["samples": "5", "rows": "35"])
        #expect(metadata.rowCounts?["fc"] == 35)
    }

    @Test func `the rows of a diagonal may stand for others`() throws {
        let draft = try draft(
            [(["wte.A"], 100), (["wte.B"], 4)],
            changing: ["bias": #"{"wte":false}"#, "diagonal": #"["wte.A"]"#])
        #expect(draft.sums[0].isDiagonal && !draft.sums[1].isDiagonal)
        let metadata = try draft.metadata(rows: [1, 60], committed: ["samples": "3", "rows": "30"])
        #expect(metadata.rowCounts?["wte"] == 30 && metadata.diagonals.count == 1)
    }

    @Test(
        arguments: [
            (["probes": nil], "metadata \"probes\" is missing"), (["task": nil], "metadata \"task\" is missing"),
            (["rows": "4"], "metadata \"rows\" is \"4\"; expected only"),
            (["layuot": "{}"], "metadata \"layuot\" is \"{}\"; expected only"),
            (["bias": #"{"fc":true}"#], "metadata \"bias\" lacks"),
            (["diagonal": #"["nobody.A"]"#], "metadata \"diagonal\""),
            (["normalization": "mean"], "metadata \"normalization\" is \"mean\""),
        ] as [([String: String?], String)])
    func `metadata that the file could not have is refused before the first row`(
        changes: [String: String?], words: String
    ) {
        let sentence = refusal { try draft(changing: changes) }
        #expect(sentence.contains(words), "\(sentence)")
    }

    @Test(
        arguments: [
            ([(["fc.A"], 3)], "fc.B"), ([([], 3)], "no tensor"), ([(["fc.A"], 0)], "no columns"),
            ([(["fc.C"], 3)], "fc.C"), ([(["fc.A_inv"], 3)], "fc.A_inv"),
            ([(["fc.A", "q.A"], 3), (["fc.B"], 3), (["q.B"], 3)], "differ in side, bias or diagonal"),
            ([(["fc.A"], 3), (["fc.A"], 3), (["fc.B"], 3)], "fc.A"),
        ] as [([([String], Int)], String)])
    func `sums that the file could not have are refused before the first row`(
        sums: [([String], Int)], words: String
    ) {
        let bias = sums.flatMap(\.0).contains("q.A") ? #"{"fc":true,"q":false}"# : #"{"fc":true}"#
        let sentence = refusal { try draft(sums.map { (tensors: $0.0, columns: $0.1) }, changing: ["bias": bias]) }
        #expect(sentence.contains(words), "\(sentence)")
    }
}
