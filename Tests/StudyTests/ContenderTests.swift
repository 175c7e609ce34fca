import Laboratory
import LinearAlgebra
import ReferenceModel
import StudyReport
import SystemPackage
import TestSupport
import Testing

@testable import Study

struct ContenderTests {
    // MARK: - Names

    @Test(arguments: [
        ("kfac", "kfac", "kfac.β-100"),
        ("kfac,balance=trace,one-dimensional=sum,beta=140/70/100", "kfac-trace-sum", "kfac-trace-sum.β-70-100-140"),
        ("kfac,accumulation=per-task,beta=1000", "kfac-per-task", "kfac-per-task.β-1000"),
        ("pseudo-rows", "pseudo-rows-32x128-complement", "pseudo-rows-32x128-complement.β-100"),
        (
            "pseudo-rows,ranks=64x256,floor=0.1,probes=8,samples=1024,every=2,beta=0.5",
            "pseudo-rows-64x256-kfac0.1-samples1024-probes8-every2",
            "pseudo-rows-64x256-kfac0.1-samples1024-probes8-every2.β-0.5"
        ),
        ("pseudo-rows,ranks=1x2,floor=none", "pseudo-rows-1x2-alone", "pseudo-rows-1x2-alone.β-100"),
        ("jacobian,beta=10/30", "jacobian", "jacobian.β-10-30"),
    ])
    func `the id states everything but β, and the file's name β too`(text: String, id: String, file: String) throws {
        let contender = try Contender(parsing: text)
        #expect(contender.id == id)
        #expect(contender.fileName == file)
    }

    @Test func `settings reach the method of each β`() throws {
        let contender = try Contender(parsing: "pseudo-rows,ranks=4x8,floor=0.5,probes=2,samples=9,every=3,beta=7")
        let method = contender.method(beta: 7, stepCount: 11)
        #expect(method.recipe == FineTuningRecipe(stepCount: 11, beta: 7, penaltyInterval: 3))
        #expect(method.factors == FactorSource(sampleCount: 9, probeCount: 2))
        #expect(method.penalty == .form(.pseudoRows(inputRank: 4, gradientRank: 8, floor: .factors(0.5))))
        #expect(method.setting == "β = 7")
    }

    // MARK: - What is refused

    @Test(arguments: [
        ("ties", "the form \"ties\" is unknown; there are kfac, pseudo-rows and jacobian"),
        ("kfac,ranks=2x3", "the form kfac has no setting \"ranks\""),
        ("jacobian,probes=2", "the form jacobian has no setting \"probes\""),
        ("kfac,beta", "\"beta\" is not one more setting; expected NAME=VALUE, each name once"),
        ("kfac,beta=1,beta=2", "\"beta=2\" is not one more setting; expected NAME=VALUE, each name once"),
        ("kfac,beta=1/1", "beta is \"1/1\"; expected different positive numbers, separated by /"),
        ("kfac,beta=0", "beta is \"0\"; expected different positive numbers, separated by /"),
        ("kfac,balance=yes", "balance is \"yes\"; expected none or trace"),
        (
            "kfac,accumulation=per-task,one-dimensional=sum",
            "one-dimensional=sum has no effect with accumulation=per-task"
        ),
        (
            "pseudo-rows,ranks=32", "ranks is \"32\"; expected the ranks of inputs and gradients, such as 32x128"
        ),
        (
            "pseudo-rows,floor=-1", "floor is \"-1\"; expected complement, none, or a positive share of K-FAC"
        ),
        ("pseudo-rows,samples=0", "samples is \"0\"; expected an integer in 1...65536"),
        ("pseudo-rows,probes=5000", "probes is \"5000\"; expected an integer in 1...4096"),
    ])
    func `a faulty text is refused`(text: String, problem: String) {
        let found = message { () throws(LaboratoryError) in _ = try Contender(parsing: text) }
        #expect(found == "contender \"\(text)\": \(problem).")
    }

    // MARK: - Studies

    private func study(_ files: TinyStudy, _ contenders: [String], only: [String] = ["linear"]) throws -> Study {
        let inputs = try files.inputs()
        return try Study(
            inputs, directory: files.path("out"),
            options: Study.Options(
                only: only, contenders: try contenders.map { try Contender(parsing: $0) }, stepCount: 3),
            team: PassTeam(inputs.base.layout, laneCount: 2), daemon: try DaemonProgram(at: "/bin/false"))
    }

    @Test func `contenders are trained without the daemon, and one β of each is measured`() async throws {
        BLASEnvironment.setThreadCount(1)
        let files = try TinyStudy()
        let texts = [
            "pseudo-rows,ranks=2x4,samples=6,beta=1/50", "kfac,balance=trace,one-dimensional=sum,beta=20", "jacobian",
        ]
        let rows = try await study(files, texts).run { _ in }
        for (id, betas) in [
            ("pseudo-rows-2x4-complement-samples6", [1.0, 50]), ("kfac-trace-sum", [20]), ("jacobian", [30]),
        ] {
            let own = rows.filter { $0.method == id }
            #expect(own.count { $0.regime == .individual } == 1)
            #expect(own.filter { $0.regime == .addition }.map(\.alpha) == AlphaGrid.addition)
            #expect(Set(own.map(\.beta)).count == 1 && betas.contains(own.first?.beta ?? 0))
            #expect(own.allSatisfy { $0.setting == nil && ($0.note != nil) == (betas.count > 1) })
        }
        let note = try #require(rows.first { $0.method.hasPrefix("pseudo-rows") }?.note)
        #expect(note.hasPrefix("β by accuracy on validation images at α = 1: 1: ") && note.contains(", 50: "))
        // Another run takes the vectors of the first one.
        let again = try await study(files, texts).run { _ in }
        #expect(again == rows)
    }

    @Test func `a contender that is there twice is refused`() throws {
        let files = try TinyStudy()
        let found = message { _ = try study(files, ["kfac,beta=5", "kfac,beta=5.0"]) }
        #expect(found == "the contender kfac is there twice. Name each once, with every β to choose from.")
    }
}
