import Testing

@testable import Console

@Suite struct TimeLeftTests {
    private let start = ContinuousClock.now

    @Test func `nothing is shown before anything is known, nor when nothing is known any more`() {
        var time = TimeLeft()
        #expect(time.update(nil, at: start) == nil)
        #expect(time.update(60, at: start) == 60)
        #expect(time.update(.infinity, at: start + .seconds(1)) == nil)
        #expect(time.update(nil, at: start + .seconds(2)) == nil)
    }

    @Test func `a right estimate runs down with the clock`() {
        var time = TimeLeft()
        for second in 0...60 {
            let shown = time.update(Double(60 - second), at: start + .seconds(second)) ?? .nan
            #expect(abs(shown - Double(60 - second)) < 1e-9)
        }
    }

    @Test func `another estimate is gone over to without a jump, and reached`() {
        var time = TimeLeft()
        var last = time.update(100, at: start) ?? .nan
        for tenth in 1...600 {
            let estimate = 1000 - Double(tenth) / 10
            let shown = time.update(estimate, at: start + .milliseconds(100 * tenth)) ?? .nan
            #expect(abs(shown - last) < 13, "a tenth of a second changes \(last) to \(shown)")
            last = shown
        }
        #expect(abs(last - 940) < 10)
    }
}
