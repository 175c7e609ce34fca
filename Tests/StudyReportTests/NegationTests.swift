import PageMarkup
import Testing

@testable import StudyReport

/// Zero-shot accuracy is 60 in all tests, so control tasks must keep 57.
struct NegationTests {
    private func chosen(_ rows: [StudyRow]) throws -> [StudyRow] {
        let tables = StudyTables(rows: rows + [SampleStudy.pretrained])
        return tables.lowestTargets(of: try #require(StudySeries.all(of: tables.rows(of: .negation)).first))
    }

    @Test func `the lowest target whose control keeps 95 percent is chosen`() throws {
        let rows = SampleStudy.negation(
            "linear", seed: 0, [(0.5, 50, 58), (1, 45, 57), (2, 30, 56.99), (0.7, 48, 57.5)])
        #expect(try chosen(rows).map(\.alpha) == [1])
    }

    @Test func `each seed has its own α`() throws {
        let rows =
            SampleStudy.negation("linear", seed: 1, [(1, 44, 58), (2, 40, 50)])
            + SampleStudy.negation("linear", seed: 0, [(1, 44, 58), (2, 40, 57)])
        #expect(try chosen(rows).map(\.alpha) == [2, 1])
    }

    @Test func `where no control keeps its share the model stays as it was`() throws {
        let rows = SampleStudy.negation("linear", seed: 0, [(1, 20, 40), (2, 10, 30)])
        let choice = try chosen(rows)
        #expect(choice.map(\.alpha) == [0])
        #expect(choice.map(\.accuracy) == [60])
    }

    @Test func `a row without control is not chosen`() throws {
        var rows = SampleStudy.negation("linear", seed: 0, [(1, 20, 60), (2, 30, 60)])
        rows[0].control = nil
        #expect(try chosen(rows).map(\.alpha) == [2])
    }

    @Test func `with one α there is nothing to choose`() throws {
        #expect(try chosen(SampleStudy.negation("linear", seed: 0, [(1, 20, 60)])).isEmpty)
    }

    @Test func `the table shows α = 1 and the choice, and emphasises the lowest target`() throws {
        let table = try #require(StudyTables(rows: SampleStudy.rows).negation)
        #expect(
            table.columns.map(\.heading) == [
                "method", "target, α = 1", "control, α = 1", "α, control ≥ 95 %", "its target", "its control", "seeds",
            ]
        )
        #expect(
            table.rows.map { $0.dropFirst().map(\.text) } == [
                ["29.0", "47.0", "0.25", "52.0", "59.0", "1"], ["55.0", "59.8", "2.00", "48.0", "57.0", "1"],
            ]
        )
        #expect(table.rows.map { $0[4].isEmphasised } == [false, true])
    }

    @Test func `without zero-shot accuracy only α = 1 is shown`() throws {
        let rows = SampleStudy.negation("linear", seed: 0, [(0.25, 52, 59), (1, 29, 47)])
        let table = try #require(StudyTables(rows: rows).negation)
        #expect(table.columns.map(\.heading) == ["method", "target, α = 1", "control, α = 1", "seeds"])
    }
}
