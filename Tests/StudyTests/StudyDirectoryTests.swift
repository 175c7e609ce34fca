import Foundation
import Laboratory
import StudyReport
import SystemPackage
import TaskArithmetic
import TestSupport
import Testing

@testable import Study

struct StudyDirectoryTests {
    private let temporary: TemporaryDirectory
    private let directory: StudyDirectory
    private let settings = ["steps": "3", "tasks": "a, b"]

    init() throws {
        temporary = try TemporaryDirectory()
        directory = StudyDirectory(FilePath(temporary.appending("deep/study")))
    }

    // MARK: - Settings

    @Test func `a study goes on in the directory that it claimed`() throws {
        try directory.claim(settings)
        let bytes = try temporary.read("deep/study/study.json")
        try directory.claim(settings)
        #expect(try temporary.read("deep/study/study.json") == bytes)
    }

    @Test func `other settings are refused, and nothing is changed`() throws {
        try directory.claim(settings)
        let bytes = try temporary.read("deep/study/study.json")
        let found = message { () throws(LaboratoryError) in try directory.claim(["steps": "4", "tasks": "a, b"]) }
        #expect(
            found == "\(directory.path): holds an earlier study, whose steps is 3; this one's is 4. "
                + "Give another --output, or remove the whole directory.")
        #expect(try temporary.read("deep/study/study.json") == bytes)
    }

    @Test func `a settings file that cannot be understood is of another study`() throws {
        try directory.claim(settings)
        try temporary.write(Array("{".utf8), to: "deep/study/study.json")
        let found = message { () throws(LaboratoryError) in try directory.claim(settings) }
        #expect(
            found == "\(directory.path): holds an earlier study, whose steps is unknown; this one's is 3. "
                + "Give another --output, or remove the whole directory.")
    }

    @Test(arguments: ["stages", "vectors", "factors"])
    func `results without their settings are of another study`(name: String) throws {
        try directory.makeDirectory(directory.path.appending(name))
        let found = message { () throws(LaboratoryError) in try directory.claim(settings) }
        #expect(
            found == "\(directory.path): holds an earlier study, whose study.json is missing; "
                + "this one's is that of this study. Give another --output, or remove the whole directory.")
    }

    // MARK: - Stages

    private var result: StageResult {
        var result = StageResult()
        result.rows = [
            StudyRow(method: "m", regime: .addition, seed: 1, alpha: 0.1, accuracy: 100.0 / 3, perTask: ["a": 1])
        ]
        result.disentanglement = [
            DisentanglementMap(
                method: "m", seed: 1, firstTask: "a", secondTask: "b", alphas: [0, 1], errors: [[0, 0.25], [0.5, 1]])
        ]
        result.interference = [InterferenceMatrix(method: "m", seed: 1, values: [[1, 0.1], [0.2, 1]])]
        result.localisation = [InterferenceMatrix(method: "m", seed: 2, values: [[1, 0.3], [0.4, 1]])]
        result.penaltyCost = [PenaltyCost(taskCount: 2, accumulatedMicroseconds: 1.5, perTaskMicroseconds: 2.5)]
        return result
    }

    @Test func `a stage's result comes back as it was`() throws {
        try directory.keep(result, ofStage: "seed1.m")
        let found = try #require(try directory.result(ofStage: "seed1.m"))
        #expect(found.rows == result.rows)
        #expect(found.disentanglement == result.disentanglement)
        #expect(found.interference == result.interference)
        #expect(found.localisation == result.localisation)
        #expect(found.penaltyCost == result.penaltyCost)
    }

    @Test func `a stage that was not done has no result`() throws {
        #expect(try directory.result(ofStage: "seed1.m") == nil)
        try directory.keep(result, ofStage: "seed1.m")
        #expect(try directory.result(ofStage: "seed2.m") == nil)
    }

    @Test func `a broken stage file is named with what to do`() throws {
        try directory.keep(result, ofStage: "seed1.m")
        try temporary.write(Array("{\"rows\": 1}".utf8), to: "deep/study/stages/seed1.m.json")
        let found = message { () throws(LaboratoryError) in _ = try directory.result(ofStage: "seed1.m") }
        #expect(
            found == "\(directory.path)/stages/seed1.m.json: no result of a study's stage. "
                + "Remove it to compute it again.")
    }

    @Test func `a measurement that is no number is kept with the others`() throws {
        var result = result
        result.rows[0].accuracy = .nan
        result.localisation[0].values[0] = [.infinity, -.infinity]
        try directory.keep(result, ofStage: "seed1.m")
        let found = try #require(try directory.result(ofStage: "seed1.m"))
        #expect(found.rows[0].accuracy.isNaN && found.rows[0].perTask == ["a": 1])
        #expect(found.localisation == result.localisation)
    }

    @Test func `the seeds of finished stages are known`() throws {
        #expect(directory.finishedSeeds == [])
        for name in ["pretrained", "seed1.m", "seed1.n", "seed12.merges"] {
            try directory.keep(result, ofStage: name)
        }
        #expect(directory.finishedSeeds.sorted() == [1, 1, 12])
    }

    // MARK: - Versions

    private let newer = "which a later version of kfacd wrote; this one reads"

    @Test func `a stage of a later version is refused, one that states none is of the first`() throws {
        try directory.keep(result, ofStage: "seed1.m")
        #expect(
            String(decoding: try temporary.read("deep/study/stages/seed1.m.json"), as: UTF8.self).contains(
                "kfaclab.stage"))
        let earlier = #"{"rows": [], "disentanglement": [], "interference": [], "localisation": [], "penaltyCost": []}"#
        try temporary.write(Array(earlier.utf8), to: "deep/study/stages/seed1.m.json")
        #expect(try directory.result(ofStage: "seed1.m")?.rows == [])
        try temporary.write(Array(#"{"format": "kfaclab.stage/2"}"#.utf8), to: "deep/study/stages/seed1.m.json")
        let found = message { () throws(LaboratoryError) in _ = try directory.result(ofStage: "seed1.m") }
        #expect(found.contains("is of the format \"kfaclab.stage/2\", \(newer) \"kfaclab.stage/1\""), "\(found)")
    }

    @Test func `a study of a later version is refused`() throws {
        try directory.claim(settings)
        try temporary.write(Array(#"{"format": "kfaclab.study/2", "steps": "3"}"#.utf8), to: "deep/study/study.json")
        let found = message { () throws(LaboratoryError) in try directory.claim(settings) }
        #expect(found.contains("is of the format \"kfaclab.study/2\", \(newer) \"kfaclab.study/1\""), "\(found)")
    }

    // MARK: - Files

    @Test func `every vector, factor directory and merge has a place of its own`() {
        let methods = StudyMethod.all() + StudyMethod.ablations()
        var places: [FilePath] = []
        for seed in 0..<2 {
            for method in methods { places += ["a", "b"].map { directory.vector(method, seed: seed, task: $0) } }
            for source in Set(methods.map(\.factors)) { places.append(directory.factors(source, seed: seed)) }
            places += MergeMethod.all.map { directory.merge($0.name, seed: seed) }
        }
        #expect(Set(places).count == places.count)
        #expect(places.allSatisfy { $0.starts(with: directory.path) })
    }

    @Test func `the working directory needs not be made`() throws {
        try StudyDirectory("").makeDirectory("")
    }

    @Test func `a file in the place of a directory is named`() throws {
        try temporary.write([], to: "deep")
        let found = message { () throws(LaboratoryError) in try directory.claim(settings) }
        #expect(found.hasPrefix("\(directory.path)"), "\(found)")
    }
}
