import Laboratory
import Testing

@testable import Study

struct StudyMethodTests {
    private let methods = StudyMethod.all()
    private let ablations = StudyMethod.ablations()

    @Test func `ids of methods are different, and so are they from what else can be asked for`() {
        #expect(Set(Study.Options.identifiers).count == methods.count + 3)
        #expect(Study.Options.identifiers.suffix(3) == ["merges", "ablations", "leaks"])
    }

    @Test func `file names of methods and ablations are different and safe`() {
        let names = (methods + ablations).map(\.fileName)
        #expect(Set(names).count == names.count)
        for name in names {
            #expect(!name.hasPrefix(".") && name.utf8.count < 100)
            #expect(name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "." }, "\(name)")
        }
        #expect(methods.map(\.fileName) == methods.map(\.id))
    }

    @Test func `two ablations that differ in their values differ in their files`() {
        let names = ablations.map(\.fileName)
        #expect(names.contains("tak-accumulated.β---30") && names.contains("tak-accumulated.β---300"))
        #expect(names.contains("tak-optimal-1.β---30"))
    }

    @Test func `every ablation belongs to a method and says what it sets`() {
        let ids = Set(methods.map(\.id))
        #expect(ablations.allSatisfy { ids.contains($0.id) && $0.setting?.isEmpty == false })
        #expect(methods.allSatisfy { $0.setting == nil })
    }

    @Test func `a penalty has a β and nothing else has one`() {
        for method in methods + ablations { #expect((method.penalty == .none) == (method.recipe.beta == 0)) }
    }

    @Test func `the number of steps reaches every recipe`() {
        for method in StudyMethod.all(stepCount: 3) + StudyMethod.ablations(stepCount: 3) {
            #expect(method.recipe.stepCount == 3)
        }
    }
}
