import PageMarkup
import Testing

@testable import StudyReport

struct StudyTablesTests {
    private func table(_ table: ReportTable?) throws -> [[String]] {
        let table = try #require(table)
        return table.rows.map { row in
            row.map { cell in
                let spread = cell.spread.map { " ± \($0)" } ?? ""
                return cell.text + spread + (cell.isEmphasised ? " *" : "") + (cell.detail.map { " | \($0)" } ?? "")
            }
        }
    }

    // MARK: - Task addition

    @Test func `seeds become mean and deviation, and the best data-free number is emphasised`() throws {
        let tables = StudyTables(rows: SampleStudy.addition)
        #expect(
            try table(tables.comparison) == [
                ["Pre-trained", "60.0", "–", "–", "–", "–", "–"],
                [
                    "Linear fine-tuning, no regularizer", "27.0 ± 1.0", "75.0 ± 0.0", "0.1", "65.0 ± 1.0", "36.0 ± 1.3",
                    "3",
                ],
                [
                    "TAK accumulated (eq. 8) | β = 100", "66.0 ± 1.0 *", "69.0 ± 0.0", "1.0", "66.0 ± 1.0 *",
                    "95.7 ± 1.4", "3",
                ],
                [
                    "τJp (needs the other tasks’ data) | β = 30", "73.0 ± 1.0", "74.0 ± 0.0", "1.0", "73.0 ± 1.0",
                    "98.6 ± 1.4", "3",
                ],
            ]
        )
    }

    @Test func `storage comes with accuracy, the least first, and methods with data last, not emphasised`() throws {
        let bigger = PenaltyStorage(method: "joint", elementCount: 12_000, relative: 12, largeRelative: 4.5)
        let rows = SampleStudy.addition + SampleStudy.sweep("joint", [1: 70], ceiling: 72)
        let tables = StudyTables(rows: rows)
        #expect(
            try table(tables.storage([bigger] + SampleStudy.storage)) == [
                ["Linear fine-tuning, no regularizer", "0", "0.00", "0.00", "27.0 ± 1.0", "75.0 ± 0.0", "3"],
                ["TAK accumulated (eq. 8) | β = 100", "1000", "1.00", "1.00", "66.0 ± 1.0", "69.0 ± 0.0", "3"],
                ["joint", "12000", "12.00", "4.50", "70.0 ± 1.0 *", "72.0 ± 0.0", "3"],
                [
                    "τJp (needs the other tasks’ data) | β = 30", "data", "–", "–", "73.0 ± 1.0", "74.0 ± 0.0", "3",
                ],
            ]
        )
        #expect(tables.storage([]) == nil)
    }

    @Test func `the picture of storage has a point for each penalty that stores, and the line of the data`() {
        let plot = LinePlot.storage(SampleStudy.storage, StudyTables(rows: SampleStudy.addition))
        #expect(plot.lines.map(\.points) == [[.init(x: 1, y: 66, spread: 1)]])
        #expect(plot.reference?.value == 73)
        #expect(plot.reference?.label == "τJp")
        #expect(plot.picture != nil)
    }

    @Test func `an α that validation chose differently for each seed is a range`() throws {
        let rows = zip([0.1, 0.3, 0.25], [60.0, 62, 64]).enumerated().map { seed, point in
            StudyRow(
                method: "linear",
                regime: .addition,
                seed: seed,
                alpha: point.0,
                accuracy: point.1,
                isBestAlpha: true
            )
        }
        #expect(
            try table(StudyTables(rows: rows).comparison) == [
                ["Linear fine-tuning, no regularizer", "0.10–0.30", "62.0 ± 2.0", "3"]
            ]
        )
    }

    @Test func `the own ceiling is read from the rows on own tasks with the same seed and β`() throws {
        let own = [(0, 100.0, 69.0), (0, 300, 66), (1, 300, 64)].map { seed, beta, accuracy in
            StudyRow(method: "tak-per-task", regime: .individual, seed: seed, beta: beta, accuracy: accuracy)
        }
        let sums = (0..<2).map { seed in
            StudyRow(method: "tak-per-task", regime: .addition, seed: seed, alpha: 1, beta: 300, accuracy: 60)
        }
        let tables = StudyTables(rows: own + sums)
        #expect(try table(tables.comparison).first?[2] == "65.0 ± 1.4")
    }

    @Test func `a method with several β for the same seed has one line for each`() throws {
        let rows = [100.0, 300].map { beta in
            StudyRow(method: "diagonal", regime: .addition, seed: 0, alpha: 1, beta: beta, accuracy: beta / 10)
        }
        #expect(
            try table(StudyTables(rows: rows).comparison) == [
                ["Diagonal Gauss-Newton | β = 100", "10.0", "1"], ["Diagonal Gauss-Newton | β = 300", "30.0 *", "1"],
            ]
        )
    }

    @Test func `a method whose β differs from seed to seed is one line`() throws {
        let rows = [(0, 100.0), (1, 300)].map { seed, beta in
            StudyRow(method: "diagonal", regime: .addition, seed: seed, alpha: 1, beta: beta, accuracy: 50)
        }
        #expect(
            try table(StudyTables(rows: rows).comparison) == [
                ["Diagonal Gauss-Newton | β = 100–300", "50.0 ± 0.0", "2"]
            ]
        )
    }

    @Test func `unknown methods keep their ids and stand last, in the order of the rows`() throws {
        let rows = ["zeta", "alpha", "linear"].map {
            StudyRow(method: $0, regime: .addition, seed: 0, alpha: 1, accuracy: 1)
        }
        let names = try table(StudyTables(rows: rows).comparison).compactMap(\.first)
        #expect(names == ["Linear fine-tuning, no regularizer", "zeta", "alpha"])
    }

    @Test func `numbers that are equal as shown share the emphasis`() throws {
        let rows = [("linear", 66.04), ("nonlinear", 65.96), ("diagonal", 65.9)].map { method, accuracy in
            StudyRow(method: method, regime: .addition, seed: 0, alpha: 1, accuracy: accuracy)
        }
        #expect(try table(StudyTables(rows: rows).comparison).map { $0[1] } == ["66.0 *", "66.0 *", "65.9"])
    }

    @Test func `tasks stand in the given order, others after them by name`() throws {
        let rows = [
            StudyRow(method: "linear", regime: .addition, alpha: 1, accuracy: 2, perTask: ["b": 1, "a": 2, "z": 3])
        ]
        let table = try #require(StudyTables(rows: rows).perTask(order: ["z", "absent"]))
        #expect(table.columns.map(\.heading) == ["method", "z", "a", "b", "mean"])
        #expect(
            table.rows.map { $0.map(\.text) } == [["Linear fine-tuning, no regularizer", "3.0", "2.0", "1.0", "2.0"]])
    }

    // MARK: - Merges and ablations

    @Test func `merges of one seed are plain numbers`() throws {
        #expect(
            try table(StudyTables(rows: SampleStudy.merges).merges) == [
                ["Mean", "65.5", "0.2", "1"], ["K-FAC merge | damping = 0.01", "67.5 *", "–", "1"],
            ]
        )
    }

    @Test func `ablations are compared with the unchanged method of the same seed`() throws {
        // Seed 1 of the unchanged method has its own mean, 66.
        #expect(
            try table(StudyTables(rows: SampleStudy.rows).ablations) == [
                ["TAK accumulated (eq. 8) | unchanged; β = 100", "66.0", "–", "69.0", "1"],
                ["samples = 64", "65.0", "−1.0", "–", "1"], ["600 steps", "66.5", "+0.5", "–", "1"],
            ]
        )
    }

    @Test func `without the unchanged method ablations have no difference`() throws {
        #expect(
            try table(StudyTables(rows: SampleStudy.ablations).ablations) == [
                ["samples = 64", "65.0", "1"], ["600 steps", "66.5", "1"],
            ]
        )
    }

    // MARK: - Nothing

    @Test func `a regime without rows has no table`() {
        let tables = StudyTables(rows: [SampleStudy.pretrained])
        #expect(tables.comparison == nil)
        #expect(tables.merges == nil)
        #expect(tables.negation == nil)
        #expect(tables.ablations == nil)
    }
}
