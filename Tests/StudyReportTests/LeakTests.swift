import PageMarkup
import TestSupport
import Testing

@testable import StudyReport

struct LeakTests {
    private func page(_ leaks: [LeakFigure]?) -> PageReader {
        PageReader(
            ResultsPage(
                description: StudyDescription(title: "", model: ""), rows: [], figures: StudyFigures(leaks: leaks)
            ).html)
    }

    @Test func `the table has a line for each kind of sharing, with means over owners in percent`() throws {
        let table = try #require(StudyTables.leaks(SampleStudy.leaks))
        #expect(
            table.rows.map { $0.map(\.text) } == [
                ["raw rows", "90.0", "25.0", "100.0", "37.5", "12.5", "5.0", "100.0"],
                ["pseudo-rows 2 × 4, mixed", "40.0", "25.0", "50.0", "37.5", "12.5", "5.0", "75.0"],
            ])
        #expect(!table.caption.contains("seeds"))
        let seeds =
            SampleStudy.leaks
            + SampleStudy.leaks.map { leak in
                var leak = leak
                leak.seed = 1
                return leak
            }
        #expect(StudyTables.leaks(seeds)?.caption.contains("means over owners and seeds") == true)
    }

    @Test func `the page holds a picture for each kind of sharing of the first owner`() throws {
        let page = page(SampleStudy.leaks)
        #expect(page.problem == nil)
        #expect(page.sections == ["leaks"])
        let pictures = page.all("image")
        #expect(pictures.count == 2)
        // The image above its reading, with two rows of grey between them.
        let expected = PNGImage(grey: [0, 255, 0, 255, 160, 160, 160, 160, 1, 2, 3, 4], width: 2).address
        #expect(pictures.allSatisfy { $0.attributes["href"] == expected })
        #expect(page.all("figcaption").contains { $0.text.contains("captured images of fashion") })
    }

    @Test func `images of one line are beside each other`() throws {
        var leak = SampleStudy.leaks[0]
        leak.recovered = .init(side: 1, images: [7, 8], readings: [9, 10])
        let expected = PNGImage(
            grey: [7, 160, 160, 8, 160, 160, 160, 160, 160, 160, 160, 160, 9, 160, 160, 10], width: 4)
        #expect(page([leak]).all("image").map { $0.attributes["href"] } == [expected.address])
    }

    @Test func `a study without the measurement has no section of it`() {
        #expect(page(nil).sections.isEmpty)
        #expect(page([]).sections.isEmpty)
    }

    @Test func `pixels that are not those of square images are not drawn`() {
        var leak = SampleStudy.leaks[0]
        for (side, images, readings) in [(2, [1], [1]), (1, [1, 2], [1]), (0, [], []), (.max, [1], [1])]
            as [(Int, [UInt8], [UInt8])]
        {
            leak.recovered = .init(side: side, images: images, readings: readings)
            let page = page([leak])
            #expect(page.problem == nil && page.all("image").isEmpty && page.all("table").count == 1)
        }
    }
}
