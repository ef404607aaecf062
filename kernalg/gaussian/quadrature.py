"""draft"""
from flint import arb
import sympy as sp
from kernalg.enclosure.balls import *
from kernalg.gaussian import trapezoid, panels
from kernalg.gaussian.trapezoid import *
from kernalg.gaussian.branches import piecewise_analytic
def test(fp,gp,q1,q2,c,digits,force=False):
    q1,q2,c=map(sp.S,(q1,q2,c))
    f=piecewise_analytic(fp); g=piecewise_analytic(gp)
    F=Factor(f,q1); G=Factor(g,q2,-1 if c<0 else 1)
    mod=panels if force or not(f.is_analytic and g.is_analytic) else trapezoid
    def parts():
        root=(ball(q1)*ball(q2)).sqrt(); d=root+abs(ball(c))
        return (d/(2*root)).sqrt(), (ball(q1*q2-c**2)/(2*root*d)).sqrt()
    bits=bits_for(digits)+40
    tol=arb(10)**-(digits+2)
    if q1*q2==c**2:
        nodes,err=mod.line_rule((F,G),tol,bits)
        with precision(bits): return sum((v for _,v in nodes),arb(0))+arb(0,err), len(nodes)
    return mod.plane(F,G,lambda:parts()[0],lambda:parts()[1],tol,bits),0
