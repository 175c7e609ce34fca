import Testing

@testable import Supervision

struct MinuteCountsTests {
    @Test func `what happens counts for its minute, and is forgotten when that is too long ago`() {
        var counts = MinuteCounts(minutes: 3)
        counts.add(at: .seconds(10))
        counts.add(2, at: .seconds(59))
        counts.add(at: .seconds(60))
        #expect(counts.counts(at: .seconds(61)) == [0, 3, 1])
        #expect(counts.counts(at: .seconds(130)) == [3, 1, 0])
        #expect(counts.counts(at: .seconds(100_000)) == [0, 0, 0])
        counts.add(at: .seconds(100_000))
        #expect(counts.counts(at: .seconds(100_000)) == [0, 0, 1])
    }

    @Test func `a rate is the mean of the time that is kept, or since the start`() {
        var counts = MinuteCounts(minutes: 10)
        counts.add(30, at: .seconds(30))
        #expect(counts.perMinute(at: .seconds(30)) == 60)
        #expect(counts.perMinute(at: .seconds(60)) == 30)
        #expect(counts.perMinute(at: .seconds(3600)) == 0)
        #expect(MinuteCounts(minutes: 0).perMinute(at: .zero) == 0)
    }

    @Test(arguments: [
        (Duration.zero, "0 s"), (.seconds(59.9), "59 s"), (.seconds(185), "3 min 05 s"),
        (.seconds(7620), "2 h 07 min"), (.seconds(-5), "0 s"),
    ])
    func `a measured span is written to the second below an hour`(span: Duration, text: String) {
        #expect(StatusText.exactly(span) == text)
    }

    @Test(arguments: [
        (0.0, "about 5 s"), (12, "about 15 s"), (61, "about 2 min"), (7300, "about 3 h"), (.nan, "–"), (.infinity, "–"),
        (-1, "–"),
    ])
    func `an estimated span is no finer than can be known`(seconds: Double, text: String) {
        #expect(StatusText.about(seconds: seconds) == text)
    }
}
