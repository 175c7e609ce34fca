import Testing

@testable import StudyReport

struct LineStyleTests {
    @Test func `labels keep their distance and stay inside`() {
        #expect(LabelPosition.spread([10, 12, 90], gap: 16, from: 0, to: 100) == [10, 26, 90])
        #expect(LabelPosition.spread([95, 99, 100], gap: 16, from: 0, to: 100) == [68, 84, 100])
        #expect(LabelPosition.spread([0, 0, 0], gap: 16, from: 0, to: 20) == [0, 10, 20])
        #expect(LabelPosition.spread([500], gap: 16, from: 0, to: 20) == [20])
    }

    @Test func `lines differ in colour, marker and dash`() {
        let styles = (0..<16).map(SeriesStyle.at)
        for (index, style) in styles.enumerated() {
            #expect(!styles[..<index].contains(style))
        }
        #expect(Set(styles.prefix(8).map(\.color)).count == 8)
        #expect(Set(styles.prefix(8).map(\.marker)).count == 8)
    }
}
