import Identifiers
import Testing

@testable import JobPlan

/// The names of tasks that state none.
@Suite struct DerivedNameTests {
    @Test func `models in directories of one name are named by more of their paths`() throws {
        func names(_ models: String...) throws -> [String] {
            try JobFileText(models: models.map { "- model: \($0)" }).spec().tasks.map(\.name.rawValue)
        }
        #expect(try names("run1/final", "c", "run2/final") == ["run1-final", "c", "run2-final"])
        #expect(try names("x/a/m", "y/a/m", "y/b/m/") == ["x-a-m", "y-a-m", "y-b-m"])
        #expect(try names("../m.safetensors", "a/m.safetensors") == ["m", "a-m"])
        #expect(try names("p/x/final", "p/y/final", "x-final") == ["p-x-final", "p-y-final", "x-final"])
        #expect(try names(".hidden/final", "x/final") == ["hidden-final", "x-final"])
        // The base is no task.
        #expect(try names("models/base", "runs/base", "c") == ["base", "c"])
    }
}
