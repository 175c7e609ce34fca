import Testing

@testable import StudyReport

struct SeedStatisticsTests {
    @Test func `mean and sample standard deviation of 2, 4, 4, 4, 5, 5, 7, 9`() throws {
        let statistics = try #require(SeedStatistics([2, 4, 4, 4, 5, 5, 7, 9]))
        #expect(statistics.mean == 5)
        // The squared distances sum to 32, over n − 1 = 7.
        #expect(abs((statistics.deviation ?? 0) - (32.0 / 7).squareRoot()) < 1e-15)
        #expect(statistics.count == 8)
    }

    @Test func `one seed has no deviation`() {
        #expect(SeedStatistics([66])?.deviation == nil)
        #expect(SeedStatistics([66])?.mean == 66)
    }

    @Test func `equal values deviate by zero`() {
        #expect(SeedStatistics([3, 3, 3])?.deviation == 0)
    }

    @Test func `nothing has no statistics`() {
        #expect(SeedStatistics([]) == nil)
    }

    @Test func `rows of the same seed count once`() throws {
        let rows = [(0, 10.0), (0, 20), (1, 25)].map { seed, accuracy in
            StudyRow(method: "linear", regime: .addition, seed: seed, accuracy: accuracy)
        }
        let statistics = try #require(SeedStatistics(over: rows, \.accuracy))
        #expect(statistics.mean == 20)
        #expect(statistics.deviation == 50.0.squareRoot())
        #expect(statistics.count == 2)
    }

    @Test func `rows without the value take no part`() {
        let rows = [
            StudyRow(method: "linear", regime: .negation, seed: 0, accuracy: 1, control: 60),
            StudyRow(method: "linear", regime: .negation, seed: 1, accuracy: 2),
        ]
        #expect(SeedStatistics(over: rows, \.control)?.count == 1)
    }

    @Test func `matrices over seeds are averaged place by place`() {
        #expect(SeedMean.of([[[1, 2], [3, 4]], [[3, 2], [1, 0]]]) == [[2, 2], [2, 2]])
    }

    @Test func `a matrix of another form than the first takes no part`() {
        #expect(SeedMean.of([[[1, 2]], [[5]]]) == [[1, 2]])
        #expect(SeedMean.of([]) == nil)
    }
}
