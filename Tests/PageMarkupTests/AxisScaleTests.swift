import Testing

@testable import PageMarkup

struct AxisScaleTests {
    @Test func `a linear scale maps its ends and its middle`() throws {
        let scale = try #require(AxisScale(.linear, over: [10, 30], from: 100, to: 0))
        #expect([10, 20, 30, 99].map(scale.position) == [100, 50, 0, 0])
    }

    @Test func `a logarithmic scale gives equal ratios equal distances`() throws {
        let scale = try #require(AxisScale(.logarithmic, over: [1, 100], from: 0, to: 200))
        #expect(abs(scale.position(of: 10) - 100) < 1e-9)
    }

    @Test func `a logarithm of zero is no scale`() {
        #expect(AxisScale(.logarithmic, over: [0, 1], from: 0, to: 1) == nil)
        #expect(AxisScale(.linear, over: [.nan, .infinity], from: 0, to: 1) == nil)
    }

    @Test func `ticks are round and inside`() throws {
        let scale = try #require(AxisScale(.linear, over: [0, 0.94], from: 0, to: 1))
        #expect(scale.ticks(5).map(NumberText.plain) == ["0", "0.2", "0.4", "0.6", "0.8"])
        let decades = try #require(AxisScale(.logarithmic, over: [3, 60], from: 0, to: 1))
        #expect(decades.ticks(5) == [5, 10, 20, 50])
    }

    @Test(arguments: [
        [5.0, 5], [1e14, 1e14 + 1], [-1e-300, 1e-300], [0, 1e-14], [-3, -1], [.greatestFiniteMagnitude, 1],
    ])
    func `every scale has few finite ticks`(values: [Double]) throws {
        let scale = try #require(AxisScale(.linear, over: values, from: 0, to: 100)).extendedToTicks(6)
        #expect(scale.ticks(6).count <= 64)
        #expect(scale.ticks(6).allSatisfy { $0.isFinite })
        #expect(values.map(scale.position).allSatisfy { (0...100).contains($0) })
    }

    @Test func `colours have a step for every number and none for what is no number`() {
        #expect([-1, 0, 0.5, 1, 7].map(ColorScale.step) == [0, 0, 10, 19, 19])
        #expect([.nan, .infinity, -.infinity].map(ColorScale.step) == [nil, nil, nil])
        #expect(ColorScale.color(0, isDark: false) == "#f6f8fc")
        #expect(ColorScale.color(19, isDark: false) == "#0d2c5c")
    }
}
