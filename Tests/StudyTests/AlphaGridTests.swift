import Testing

@testable import Study

struct AlphaGridTests {
    @Test func `the best α has the largest accuracy`() {
        #expect(AlphaGrid.best([(0.1, 20), (1, 50), (3, 50.5), (0.5, 10)]) == 3)
        #expect(AlphaGrid.best([(2, 7)]) == 2)
    }

    @Test(arguments: [[0.5, 1.25, 2], [2, 1.25, 0.5], [1.25, 0.5, 2]])
    func `of equal ones the α nearest to 1 is taken, in any order`(alphas: [Double]) {
        #expect(AlphaGrid.best(alphas.map { ($0, 80) }) == 1.25)
        #expect(AlphaGrid.best(alphas.map { ($0, 80) } + [(1, 79.9)]) == 1.25)
        #expect(AlphaGrid.best(alphas.map { ($0, 80) } + [(1, 80)]) == 1)
    }

    @Test func `nothing measured leaves vectors as they are`() {
        #expect(AlphaGrid.best([]) == 1)
    }

    @Test func `every grid rises and has 1, the plane is symmetric around 0`() {
        for grid in [AlphaGrid.addition, AlphaGrid.negation, AlphaGrid.plane] {
            #expect(zip(grid, grid.dropFirst()).allSatisfy { $0 < $1 })
            #expect(grid.contains(1))
        }
        #expect(AlphaGrid.plane == AlphaGrid.plane.reversed().map { -$0 })
    }
}
