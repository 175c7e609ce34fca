import Laboratory
import LinearAlgebra
import StudyReport
import SystemPackage
import TestSupport
import Testing

@testable import Study

struct LeakStudyTests {
    @Test func `a study measures every owner and kind of sharing, and its page shows the first owner's images`()
        async throws
    {
        BLASEnvironment.setThreadCount(1)
        let files = try TinyStudy()
        let inputs = try files.inputs()
        let study = try Study(
            inputs, directory: files.path("out"), options: Study.Options(seeds: [0, 1], only: ["leaks"], stepCount: 3),
            team: PassTeam(inputs.base.layout, laneCount: 2), daemon: try DaemonProgram(at: "/bin/false"))
        _ = try await study.run { _ in }
        let text = String(decoding: try files.directory.read("out/figures.json"), as: UTF8.self)
        let leaks = try #require(try FiguresFile.decode(text).leaks)
        let kinds = [
            "raw rows", "pseudo-rows 64 × 256", "pseudo-rows 64 × 256, mixed", "pseudo-rows 32 × 128",
            "pseudo-rows 32 × 128, mixed", "pseudo-rows 32 × 128, of all tasks together", "K-FAC’s A",
            "pseudo-rows 32 × 128, of another task",
        ]
        let owners = [0, 1].flatMap { seed in TinyStudy.tasks.map { (seed, $0) } }
        #expect(leaks.map(\.shared) == owners.flatMap { _ in kinds })
        #expect(leaks.map(\.owner) == owners.flatMap { owner in kinds.map { _ in owner.1 } })
        #expect(leaks.map(\.seed) == owners.flatMap { owner in kinds.map { _ in owner.0 } })
        for leak in leaks {
            #expect((leak.recovered != nil) == (leak.owner == "alpha"))
            for comparison in [leak.nearest, leak.largest, leak.fitted] {
                #expect((0...1.0001).contains(comparison.captured) && (0...1.0001).contains(comparison.heldOut))
            }
            #expect(leak.nearest.captured <= leak.largest.captured)
        }
        // The span of all raw rows has every captured sample whole.
        #expect(leaks.filter { $0.shared == "raw rows" }.allSatisfy { $0.membership > 0.99 })
        let page = String(decoding: try files.directory.read("out/results.html"), as: UTF8.self)
        #expect(page.contains("<section id=\"leaks\">") && page.contains("data:image/png;base64,"))
    }

    @Test func `one task alone has no public images of others`() async throws {
        let files = try TinyStudy()
        let inputs = try StudyInputs(files.path(""), tasks: ["alpha"])
        let leaks = LeakStudy(inputs: inputs, team: PassTeam(inputs.base.layout, laneCount: 1))
        var found = ""
        do { _ = try await leaks.figures(seed: 0) } catch { found = "\(error)" }
        #expect(
            found
                == "the leak of images is measured with public images of other tasks; the data holds one task only.")
    }
}
