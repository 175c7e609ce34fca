import CostEstimate
import Testing

@Suite struct RemainingTimeTests {
    private func seconds(
        _ predicted: Double?, elapsed: Double? = 10, done fraction: Double = 0, measured: Double? = nil
    ) -> Double? {
        RemainingTime.seconds(predicted: predicted, elapsed: elapsed, fraction: fraction, measured: measured)
    }

    @Test func `at first the prediction counts, less what has passed`() {
        #expect(seconds(100, elapsed: 0) == 100)
        #expect(seconds(100) == 90)
        #expect(seconds(100, done: 0, measured: 50) == 90)
    }

    @Test func `the more is done, the more the job's own pace counts`() {
        // At an eighth of the work, both count alike.
        #expect(seconds(100, done: 0.125, measured: 50) == 70)
        #expect(seconds(100, done: 0.25, measured: 50) == 50)
        #expect(seconds(100, done: 0.9, measured: 50) == 50)
    }

    @Test func `without a prediction, or after its end, only the pace counts`() {
        #expect(seconds(nil, measured: 50) == 50)
        #expect(seconds(nil) == nil)
        #expect(seconds(100, elapsed: nil, measured: 50) == 50)
        #expect(seconds(5, measured: 50) == 50)
        #expect(seconds(5) == nil)
    }
}
